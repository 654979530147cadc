//! From single records to a whole recording. A reader, a text log and a running tracer all go through [`Recording::push`],
//! so everything downstream may rely on what it mends.

use std::collections::{HashMap, HashSet};

use thiserror::Error;

use super::{Cohort, End, Event, Header, Module, Record, Skip, Skipped, Snapshot, Stack, StackCounters};

/// Everything one investigation saw.
///
/// Holds, whatever was pushed: times of snapshots never go back; live is at most allocated; every stack that a snapshot
/// counts is in `stacks`, and at most once in one snapshot; ids of stacks and of modules are unique. What had to be
/// mended for that is counted in `skipped`.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Recording {
    /// What was asked, of whom, and how it was measured.
    pub header: Header,
    /// Files mapped by the targets.
    pub modules: Vec<Module>,
    /// Call stacks, in the order of their appearance.
    pub stacks: Vec<Stack>,
    /// The counters over time, each snapshot with only what changed; [`Recording::histories`] turns that around.
    pub snapshots: Vec<Snapshot>,
    /// What happened between snapshots.
    pub events: Vec<Event>,
    /// How the run ended; absent when the recording was cut off.
    pub end: Option<End>,
    /// What was left out or mended.
    pub skipped: Skipped,
    known_modules: HashSet<u32>,
    known_stacks: HashSet<u32>,
}

/// The first record is no header, so nobody knows what was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the recording does not begin with a header")]
pub struct NoHeader;

impl Recording {
    /// A recording of which only the header is known yet.
    pub fn new(header: Header) -> Self {
        Self { header, ..Self::default() }
    }

    /// Puts a run of the same process together, without a file between.
    pub fn from_records(records: impl IntoIterator<Item = Record>) -> Result<Self, NoHeader> {
        let mut records = records.into_iter();
        let Some(Record::Header(header)) = records.next() else { return Err(NoHeader) };
        let mut recording = Self::new(header);
        records.for_each(|record| recording.push(record));
        Ok(recording)
    }

    /// Takes in the next record and mends what contradicts those before it.
    pub fn push(&mut self, record: Record) {
        match record {
            Record::Module(module) if self.known_modules.insert(module.id) => self.modules.push(module),
            Record::Stack(stack) if self.known_stacks.insert(stack.id) => self.stacks.push(stack),
            Record::Header(_) | Record::Module(_) | Record::Stack(_) => self.skipped.add(Skip::Repeated),
            Record::Snapshot(snapshot) => self.push_snapshot(snapshot),
            Record::Event(event) => self.events.push(event),
            Record::End(mut end) => {
                end.time_ns = self.not_before_last(end.time_ns);
                self.end = Some(end);
            }
        }
    }

    /// Nanoseconds from the start to the last thing recorded.
    pub fn duration_ns(&self) -> u64 {
        let last = self.snapshots.last().map_or(0, |snapshot| snapshot.time_ns);
        self.end.as_ref().map_or(last, |end| end.time_ns.max(last))
    }

    fn push_snapshot(&mut self, mut snapshot: Snapshot) {
        snapshot.time_ns = self.not_before_last(snapshot.time_ns);
        self.keep_last_of_each(&mut snapshot.stacks);
        for counters in &mut snapshot.stacks {
            if self.known_stacks.insert(counters.id) {
                self.skipped.add(Skip::UnknownStack);
                self.stacks.push(Stack { id: counters.id, ..Stack::default() });
            }
            if mend(counters) {
                self.skipped.add(Skip::ImpossibleCounters);
            }
        }
        self.snapshots.push(snapshot);
    }

    fn not_before_last(&mut self, time_ns: u64) -> u64 {
        let last = self.snapshots.last().map_or(0, |snapshot| snapshot.time_ns);
        if time_ns < last {
            self.skipped.add(Skip::TimeBackwards);
        }
        time_ns.max(last)
    }

    fn keep_last_of_each(&mut self, stacks: &mut Vec<StackCounters>) {
        let mut seen = HashMap::with_capacity(stacks.len());
        for (at, counters) in stacks.iter().enumerate() {
            seen.insert(counters.id, at);
        }
        if seen.len() == stacks.len() {
            return;
        }
        let mut at = 0;
        stacks.retain(|counters| {
            let last = seen.get(&counters.id) == Some(&at);
            at += 1;
            if !last {
                self.skipped.add(Skip::Repeated);
            }
            last
        });
    }
}

/// Raises what was allocated to what is live. True when that was needed.
fn mend(counters: &mut StackCounters) -> bool {
    let StackCounters { live_bytes, live_count, allocated_bytes, allocated_count, cohorts, .. } = counters;
    let mut mended = *allocated_bytes < *live_bytes || *allocated_count < *live_count;
    *allocated_bytes = (*allocated_bytes).max(*live_bytes);
    *allocated_count = (*allocated_count).max(*live_count);
    for Cohort { allocated_bytes, live_bytes, .. } in cohorts {
        mended |= *allocated_bytes < *live_bytes;
        *allocated_bytes = (*allocated_bytes).max(*live_bytes);
    }
    mended
}

#[cfg(test)]
mod tests;
