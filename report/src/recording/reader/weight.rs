//! How much memory a record takes, by estimate: a line of three bytes a value may become eighty times as large.

use std::mem::size_of;

use crate::recording::{
    Allocator, Block, Cohort, Event, Frame, Header, Module, Process, Record, Snapshot, Stack, StackCounters,
};

/// The largest value that an object in a line may become.
const LARGEST_OBJECT: usize = size_of::<Frame>();

/// Places that a list may need for each value: one that grows is copied from a half to a whole of which it fills little more
/// than that half. The first value needs four.
const PLACES: usize = 3;
const FIRST_PLACES: usize = 4;
/// The most that a text takes beside its bytes in the line: its place in a list, or its entry in a ledger of which nodes are
/// filled by half, and what an allocator adds to a short one.
const TEXT: usize = PLACES * size_of::<String>() + 56;
/// The most that a number in a list takes.
const NUMBER: usize = PLACES * size_of::<u32>();
/// The record itself, and the first values of its own lists.
const ONCE: usize = size_of::<Record>() + 1024;
/// How deep the entries of a ledger lie, and how deep the objects of a record but its cohorts, which are small.
const LEDGER_DEPTH: usize = 2;
const OBJECT_DEPTH: usize = 3;

/// Upper bound of the memory of the values in a line, before it is parsed, in a tenth of the time that parsing takes.
pub(super) fn of_line(line: &[u8]) -> usize {
    let (mut bound, mut depth, mut rest) = (ONCE + line.len(), 0_usize, line);
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                bound += opened(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => bound += NUMBER,
            b'"' => {
                rest = behind_text(behind);
                let is_name = rest.trim_ascii_start().starts_with(b":");
                bound += if is_name && depth != LEDGER_DEPTH { 0 } else { TEXT };
            }
            _ => {}
        }
    }
    bound
}

/// What an object or a list of a line may become. A list of values is read as an object too.
fn opened(depth: usize) -> usize {
    if depth <= OBJECT_DEPTH { PLACES * LARGEST_OBJECT } else { FIRST_PLACES * size_of::<Cohort>() }
}

/// What follows a text that has begun.
fn behind_text(mut rest: &[u8]) -> &[u8] {
    while let Some((byte, behind)) = rest.split_first() {
        match byte {
            b'"' => return behind,
            b'\\' => rest = behind.get(1..).unwrap_or_default(),
            _ => rest = behind,
        }
    }
    rest
}

/// Estimated memory of a record with everything it holds.
pub(super) fn of(record: &Record) -> usize {
    size_of::<Record>()
        + match record {
            Record::Header(Header { allocators, target, .. }) => {
                target.pids.len() * size_of::<u32>()
                    + target.command.len()
                    + allocators.iter().map(allocator).sum::<usize>()
            }
            Record::Module(Module { path, build_id, .. }) => path.len() + text(build_id.as_ref()),
            Record::Stack(Stack { frames, cut_short, .. }) => {
                text(cut_short.as_ref()) + frames.iter().map(frame).sum::<usize>()
            }
            Record::Snapshot(snapshot) => of_snapshot(snapshot),
            Record::Event(Event { detail, .. }) => detail.len(),
            Record::End(end) => end.blocks.len() * size_of::<Block>(),
        }
}

/// The same of what a snapshot holds.
pub(in crate::recording) fn of_snapshot(snapshot: &Snapshot) -> usize {
    let cohorts: usize = snapshot.stacks.iter().map(|stack| stack.cohorts.len()).sum();
    // A stack's counters are listed a second time, by stack, while they are analyzed.
    snapshot.processes.len() * size_of::<Process>()
        + snapshot.stacks.len() * (size_of::<StackCounters>() + 2 * size_of::<usize>())
        + cohorts * size_of::<Cohort>()
        + snapshot.ledger.keys().map(|name| name.len() + 64).sum::<usize>()
}

fn allocator(allocator: &Allocator) -> usize {
    let functions: usize = allocator.functions.iter().map(|name| name.len() + size_of::<String>()).sum();
    size_of::<Allocator>() + allocator.family.len() + allocator.module.len() + functions
}

fn frame(frame: &Frame) -> usize {
    size_of::<Frame>() + text(frame.function.as_ref()) + text(frame.file.as_ref())
}

fn text(text: Option<&String>) -> usize {
    text.map_or(0, String::len)
}

#[cfg(test)]
mod tests;
