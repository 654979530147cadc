//! Reads code: first from end to end for where functions begin, then each function along its branches.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    ops::Range,
};

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register,
};
use leakhound_ebpf::abi::{Cfa, Row};

use super::frame::Frame;
use crate::unwind::rule::bare;

/// `rt_sigreturn`, by which a signal handler goes back.
const SIGRETURN: u64 = 15;

/// A stretch of code and its address.
#[derive(Clone, Copy)]
pub(in crate::unwind) struct Stretch<'a> {
    pub(in crate::unwind) address: u64,
    pub(in crate::unwind) bytes: &'a [u8],
}

impl Stretch<'_> {
    fn end(&self) -> u64 {
        self.address + self.bytes.len() as u64
    }
}

/// Rows by address, with a row without information after each function.
pub(in crate::unwind) type Rows = BTreeMap<u64, Row>;

/// Reads the rows of every function that has a name or is called from here. The stretches are sorted.
pub(in crate::unwind) fn read(
    stretches: Vec<Stretch<'_>>,
    named: Vec<u64>,
    never_return: &HashSet<u64>,
) -> Rows {
    let mut reader = Reader {
        functions: named.into_iter().collect(),
        stretches,
        never_return,
        entries: BTreeSet::new(),
        signals: Vec::new(),
        seen: BTreeMap::new(),
        factory: InstructionInfoFactory::new(),
    };
    for stretch in reader.stretches.clone() {
        reader.sweep(stretch.address);
    }
    for function in reader.functions.clone() {
        reader.follow(function);
    }
    reader.rows()
}

struct Reader<'a> {
    functions: BTreeSet<u64>,
    stretches: Vec<Stretch<'a>>,
    never_return: &'a HashSet<u64>,
    /// Instructions that the one before them does not run into.
    entries: BTreeSet<u64>,
    /// Where signal handlers return to.
    signals: Vec<Range<u64>>,
    seen: BTreeMap<u64, Seen>,
    factory: InstructionInfoFactory,
}

/// An instruction, and the frame that it finds.
struct Seen {
    next: u64,
    frame: Frame,
    outermost: bool,
}

impl Reader<'_> {
    /// Finds functions without names: whatever is called, or named by an address that code does not run into.
    fn sweep(&mut self, start: u64) {
        let mut runs_into = true;
        let mut address_taken = Vec::new();
        let mut number_in_rax = None;
        for instruction in decode(&self.stretches, start) {
            if !runs_into {
                self.entries.insert(instruction.ip());
            }
            if instruction.is_call_near() && self.is_inside(instruction.near_branch_target()) {
                self.functions.insert(instruction.near_branch_target());
            }
            if instruction.mnemonic() == Mnemonic::Lea && instruction.is_ip_rel_memory_operand() {
                address_taken.push(instruction.ip_rel_memory_address());
            }
            if instruction.mnemonic() == Mnemonic::Syscall
                && let Some(start) = number_in_rax
            {
                self.signals.push(start..instruction.next_ip());
            }
            number_in_rax = loads_number(&instruction, SIGRETURN).then(|| instruction.ip());
            runs_into = match instruction.flow_control() {
                FlowControl::Return
                | FlowControl::UnconditionalBranch
                | FlowControl::IndirectBranch
                | FlowControl::Exception => false,
                FlowControl::Call => !self.never_return.contains(&instruction.near_branch_target()),
                _ => runs_into || instruction.mnemonic() != Mnemonic::Nop,
            };
        }
        self.functions.extend(address_taken.into_iter().filter(|address| self.entries.contains(address)));
    }

    /// Follows a function's instructions along all branches, each instruction once. What follows a call comes last: the
    /// function called may be one that never returns, and then whoever jumps there knows better.
    fn follow(&mut self, function: u64) {
        let mut open = VecDeque::from([(function, Frame::ENTRY)]);
        let mut at_switch = None;
        let mut cases_from = function;
        while let Some((mut address, mut frame)) = open.pop_front() {
            while self.is_inside(address)
                && (address == function || !self.functions.contains(&address))
                && !self.seen.contains_key(&address)
            {
                let Some(instruction) = decode(&self.stretches, address).next() else { break };
                let next = instruction.next_ip();
                let flow = instruction.flow_control();
                let outermost = flow == FlowControl::IndirectCall && self.result_ends_all(&instruction);
                self.seen.insert(address, Seen { next, frame, outermost });
                match flow {
                    FlowControl::Next | FlowControl::Interrupt => {
                        frame = frame.after(&instruction, &mut self.factory);
                    }
                    FlowControl::ConditionalBranch => {
                        open.push_front((instruction.near_branch_target(), frame));
                    }
                    FlowControl::UnconditionalBranch => {
                        open.push_front((instruction.near_branch_target(), frame));
                        break;
                    }
                    FlowControl::Call | FlowControl::IndirectCall => {
                        if !self.never_return.contains(&instruction.near_branch_target()) {
                            open.push_back((next, frame));
                        }
                        break;
                    }
                    FlowControl::IndirectBranch => {
                        at_switch = Some(frame);
                        break;
                    }
                    _ => break,
                }
                address = next;
            }
            if let (true, Some(frame)) = (open.is_empty(), at_switch)
                && let Some(case) = self.next_case(function, cases_from)
            {
                open.push_back((case, frame));
                cases_from = case;
            }
        }
    }

    /// The first instruction of a function that no branch was found to lead to: after a jump through a table, that is one
    /// of its targets.
    fn next_case(&self, function: u64, from: u64) -> Option<u64> {
        let next_function = self.functions.range(function + 1..).next();
        let end = stretch_of(&self.stretches, function)?.end().min(*next_function.unwrap_or(&u64::MAX));
        self.entries.range(from..end.max(from)).find(|address| !self.seen.contains_key(address)).copied()
    }

    /// `exit(main(...))` and `pthread_exit(start(...))`: whoever is called there is the outermost function worth showing.
    fn result_ends_all(&self, call: &Instruction) -> bool {
        let mut next = decode(&self.stretches, call.next_ip());
        let (Some(passes), Some(ends)) = (next.next(), next.next()) else { return false };
        matches!(passes.mnemonic(), Mnemonic::Mov | Mnemonic::Movsxd)
            && passes.op0_register().full_register() == Register::RDI
            && passes.op1_register().full_register() == Register::RAX
            && ends.is_call_near()
            && self.never_return.contains(&ends.near_branch_target())
    }

    fn rows(self) -> Rows {
        let mut rows = Rows::new();
        let mut last = bare(Cfa::None);
        for (address, seen) in &self.seen {
            let row = if seen.outermost { bare(Cfa::End) } else { seen.frame.row() };
            if row != last {
                rows.insert(*address, row);
            }
            last = row;
            if !self.seen.contains_key(&seen.next) {
                last = bare(Cfa::None);
                rows.insert(seen.next, last);
            }
        }
        for signal in self.signals {
            // A handler's return address is the first instruction's, and a walk looks one byte before it.
            let after =
                rows.range(..=signal.end).next_back().map_or_else(|| bare(Cfa::None), |(_, row)| *row);
            let inside: Vec<u64> = rows.range(signal.clone()).map(|(address, _)| *address).collect();
            for address in inside {
                rows.remove(&address);
            }
            rows.insert(signal.start.saturating_sub(1), bare(Cfa::Signal));
            rows.insert(signal.end, after);
        }
        rows
    }

    fn is_inside(&self, address: u64) -> bool {
        stretch_of(&self.stretches, address).is_some()
    }
}

fn stretch_of<'s, 'a>(stretches: &'s [Stretch<'a>], address: u64) -> Option<&'s Stretch<'a>> {
    let before = &stretches[..stretches.partition_point(|stretch| stretch.address <= address)];
    before.last().filter(|stretch| address < stretch.end())
}

/// Instructions from an address to the end of its stretch.
fn decode<'a>(stretches: &[Stretch<'a>], from: u64) -> impl Iterator<Item = Instruction> + use<'a> {
    let bytes = stretch_of(stretches, from)
        .and_then(|stretch| stretch.bytes.get(usize::try_from(from - stretch.address).ok()?..))
        .unwrap_or_default();
    Decoder::with_ip(64, bytes, from, DecoderOptions::NONE).into_iter()
}

fn loads_number(instruction: &Instruction, number: u64) -> bool {
    instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_register().full_register() == Register::RAX
        && instruction.op1_kind() != OpKind::Memory
        && instruction.try_immediate(1).is_ok_and(|value| value == number)
}
