//! Where in a function to put its probe.
//!
//! The kernel *emulates* `push` of a register, `nop`, and relative `call`, `jmp` and `jcc` under a breakpoint
//! (arch/x86/kernel/uprobes.c); any other instruction it executes out of line under single-step, which costs a second trap.
//! Moving the probe from the first instruction to the first emulated one is the largest single saving we know: glibc's
//! `free` begins with `test rdi, rdi`, and three bytes on is a `je`.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    Register,
};
use leakhound_ebpf::abi::{Operation, Shape};

/// Where the probe goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Bytes from the function's beginning.
    pub offset: u8,
    /// The instruction there is emulated.
    pub emulated: bool,
}

/// How far to look: prologues are shorter.
const FARTHEST: u64 = 60;

/// The first emulated instruction that every call passes and that still sees the arguments; else the function's
/// beginning. `code` are the function's bytes, as many as are known.
pub fn place(code: &[u8], shape: Shape) -> Placement {
    let start = Placement { offset: 0, emulated: false };
    let needed = needed_registers(shape);
    let mut factory = InstructionInfoFactory::new();
    for instruction in &mut Decoder::with_ip(64, code, 0, DecoderOptions::NONE) {
        let Ok(offset) = u8::try_from(instruction.ip()) else { return start };
        if instruction.is_invalid() || u64::from(offset) > FARTHEST {
            return start;
        }
        if is_emulated(&instruction) {
            let clean = offset == 0 || !is_jumped_into(code, u64::from(offset));
            return if clean { Placement { offset, emulated: true } } else { start };
        }
        let spoilt = factory.info(&instruction).used_registers().iter().any(|used| {
            let written = !matches!(used.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::None);
            written && needed.contains(&used.register().full_register())
        });
        if spoilt || instruction.flow_control() != FlowControl::Next {
            return start;
        }
    }
    start
}

/// The registers that must still hold what the caller put there. A return probe also finds the return address at the
/// top of the stack.
fn needed_registers(shape: Shape) -> Vec<Register> {
    const ARGUMENTS: [Register; 4] = [Register::RDI, Register::RSI, Register::RDX, Register::RCX];
    let arguments = [shape.size, shape.count, shape.pointer].into_iter().filter(|number| *number > 0);
    let mut needed: Vec<Register> =
        arguments.filter_map(|number| ARGUMENTS.get(usize::from(number) - 1).copied()).collect();
    if shape.operation != Operation::Free {
        needed.push(Register::RSP);
    }
    needed
}

/// What the kernel emulates: see `branch_setup_xol_ops` and `push_setup_xol_ops` there.
fn is_emulated(instruction: &Instruction) -> bool {
    let prefixed =
        instruction.has_rep_prefix() || instruction.has_repne_prefix() || instruction.has_lock_prefix();
    match instruction.mnemonic() {
        Mnemonic::Push => instruction.code() == Code::Push_r64,
        Mnemonic::Nop => !prefixed,
        Mnemonic::Call => instruction.is_call_near(),
        Mnemonic::Jmp => instruction.is_jmp_short_or_near(),
        _ => instruction.is_jcc_short_or_near(),
    }
}

/// Whether a branch elsewhere in the function leads back to after its beginning and up to here: the probe would then run more
/// than once a call.
fn is_jumped_into(code: &[u8], offset: u64) -> bool {
    let branches = Decoder::with_ip(64, code, 0, DecoderOptions::NONE).into_iter().filter(|instruction| {
        instruction.is_jcc_short_or_near() || instruction.is_jmp_short_or_near() || instruction.is_call_near()
    });
    branches.map(|branch| branch.near_branch_target()).any(|target| target > 0 && target <= offset)
}

#[cfg(test)]
mod tests;
