//! How much memory a record takes, by estimate: a line of three bytes a value may become thirty times as large.

use std::mem::size_of;

use crate::recording::{
    Allocator, Block, Cohort, Event, Frame, Header, Module, Process, Record, Snapshot, Stack, StackCounters,
};

/// The largest value that an object in a line may become.
const LARGEST_OBJECT: usize = size_of::<Frame>();

/// Upper bound of the memory of the values in a line, before it is parsed.
#[allow(clippy::naive_bytecount, reason = "parsing the line costs twenty times as much")]
pub(super) fn of_line(line: &[u8]) -> usize {
    let objects = line.iter().filter(|byte| **byte == b'{').count();
    line.len() + objects * LARGEST_OBJECT
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
            Record::Snapshot(snapshot) => snapshot_parts(snapshot),
            Record::Event(Event { detail, .. }) => detail.len(),
            Record::End(end) => end.blocks.len() * size_of::<Block>(),
        }
}

fn snapshot_parts(snapshot: &Snapshot) -> usize {
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
