//! What one instruction does to a function's frame.

use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};
use leakhound_ebpf::abi::{Cfa, Row};

use crate::unwind::rule::bare;

/// A frame before an instruction, in bytes below the CFA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// CFA minus rsp; `None` after an alignment or an `alloca`.
    depth: Option<i32>,
    /// CFA minus rbp, when rbp is the frame pointer.
    base: Option<i32>,
    caller_rbp: CallerRbp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallerRbp {
    InPlace,
    /// CFA minus its place.
    Saved(i32),
    Lost,
}

impl Frame {
    /// At a function's first instruction only the return address lies below the CFA.
    pub(super) const ENTRY: Self = Self { depth: Some(8), base: None, caller_rbp: CallerRbp::InPlace };

    /// The row for an instruction that finds this frame.
    pub(super) fn row(self) -> Row {
        let (cfa, cfa_offset) = match (self.depth, self.base) {
            (Some(depth @ 8..), _) => (Cfa::Rsp, depth),
            (None, Some(base @ 8..)) => (Cfa::Rbp, base),
            _ => return bare(Cfa::None),
        };
        let rbp_offset = match self.caller_rbp {
            CallerRbp::InPlace => 0,
            CallerRbp::Saved(below) => -below,
            CallerRbp::Lost => 8,
        };
        let row = Row { pc_low: 0, cfa, cfa_offset, rbp_offset, add: 0 };
        if row.pack().is_some() { row } else { bare(Cfa::None) }
    }

    /// The frame after an instruction that does not leave the function; calls leave it as it was.
    pub(super) fn after(mut self, instruction: &Instruction, factory: &mut InstructionInfoFactory) -> Self {
        use Register::{RBP, RSP};
        let operands = [instruction.op0_register(), instruction.op1_register()];
        let second_is_number = instruction.op_count() == 2 && instruction.try_immediate(1).is_ok();
        match (instruction.mnemonic(), operands) {
            (Mnemonic::Push, [pushed, _]) => {
                self.depth = plus(self.depth, -instruction.stack_pointer_increment());
                if pushed == RBP {
                    self.save_rbp(self.depth);
                }
            }
            (Mnemonic::Pop, [popped, _]) if popped != RSP => {
                if popped == RBP {
                    self.restore_rbp(self.depth);
                }
                self.depth = plus(self.depth, -instruction.stack_pointer_increment());
            }
            (Mnemonic::Sub, [RSP, _]) if second_is_number => {
                self.depth = plus(self.depth, number(instruction));
            }
            (Mnemonic::Add, [RSP, _]) if second_is_number => {
                self.depth = plus(self.depth, number(instruction).and_then(i32::checked_neg));
            }
            (Mnemonic::Lea, [RSP, _]) => self.depth = self.memory_operand(instruction),
            (Mnemonic::Mov, [RSP, RBP]) => self.depth = self.base,
            (Mnemonic::Mov, [RBP, RSP]) => {
                self.overwrite_rbp();
                self.base = self.depth;
            }
            (Mnemonic::Leave, _) => {
                let saved = self.base;
                self.restore_rbp(saved);
                self.depth = plus(saved, -8);
            }
            (Mnemonic::Mov, [Register::None, RBP]) if instruction.op0_kind() == OpKind::Memory => {
                self.save_rbp(self.memory_operand(instruction));
            }
            (Mnemonic::Mov, [RBP, _]) if instruction.op1_kind() == OpKind::Memory => {
                self.restore_rbp(self.memory_operand(instruction));
            }
            _ => {
                if writes(instruction, RSP, factory) {
                    let moved = instruction.is_stack_instruction();
                    self.depth =
                        moved.then(|| plus(self.depth, -instruction.stack_pointer_increment())).flatten();
                }
                if writes(instruction, RBP, factory) {
                    self.overwrite_rbp();
                }
            }
        }
        self
    }

    fn save_rbp(&mut self, place: Option<i32>) {
        if let (CallerRbp::InPlace, Some(place)) = (self.caller_rbp, place) {
            self.caller_rbp = CallerRbp::Saved(place);
        }
    }

    fn restore_rbp(&mut self, place: Option<i32>) {
        match self.caller_rbp {
            CallerRbp::Saved(saved) if place == Some(saved) => self.caller_rbp = CallerRbp::InPlace,
            _ => self.overwrite_rbp(),
        }
        self.base = None;
    }

    fn overwrite_rbp(&mut self) {
        if self.caller_rbp == CallerRbp::InPlace {
            self.caller_rbp = CallerRbp::Lost;
        }
        self.base = None;
    }

    /// CFA minus the address of a memory operand, when that is a fixed place in the frame.
    fn memory_operand(&self, instruction: &Instruction) -> Option<i32> {
        if instruction.memory_index() != Register::None {
            return None;
        }
        let base = match instruction.memory_base() {
            Register::RSP => self.depth?,
            Register::RBP => self.base?,
            _ => return None,
        };
        let displacement = i64::from_ne_bytes(instruction.memory_displacement64().to_ne_bytes());
        base.checked_sub(i32::try_from(displacement).ok()?)
    }
}

fn plus(depth: Option<i32>, bytes: impl Into<Option<i32>>) -> Option<i32> {
    depth?.checked_add(bytes.into()?)
}

fn number(instruction: &Instruction) -> Option<i32> {
    let value = instruction.try_immediate(1).ok()?;
    i32::try_from(i64::from_ne_bytes(value.to_ne_bytes())).ok()
}

fn writes(instruction: &Instruction, register: Register, factory: &mut InstructionInfoFactory) -> bool {
    factory.info(instruction).used_registers().iter().any(|used| {
        used.register().full_register() == register
            && !matches!(
                used.access(),
                OpAccess::Read | OpAccess::CondRead | OpAccess::None | OpAccess::NoMemAccess
            )
    })
}
