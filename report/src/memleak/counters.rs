//! The counters of all stacks over time, of which each snapshot shows only the largest.

use crate::recording::{Snapshot, StackCounters, take_over};

/// Most snapshots that are kept. A log of a week at memleak's own 5 seconds has 120,000, more than a rule needs.
const MOST_SNAPSHOTS: usize = 1 << 14;
/// Most counters that are kept: 128 MiB.
const MOST_CHANGES: usize = 2 << 20;

/// What one snapshot shows of one stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) stack: u32,
    pub(super) bytes: u64,
    pub(super) count: u64,
}

/// What it means that a stack is not in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// The list was complete: nothing of it is live.
    Gone,
    /// The list was cut at its top: it has at most so many bytes.
    AtMost(u64),
    /// Nothing is known.
    Unknown,
}

/// The counters of all stacks over time.
#[derive(Debug, Clone)]
pub(super) struct Counters {
    now: Vec<Now>,
    /// Stacks with live bytes.
    live: Vec<u32>,
    /// Stacks that changed since the last kept snapshot.
    changed: Vec<u32>,
    kept: Vec<Snapshot>,
    kept_changes: usize,
    most_snapshots: usize,
    seen: usize,
    /// One of so many snapshots is kept.
    stride: usize,
    last_time: u64,
}

#[derive(Debug, Clone, Default)]
struct Now {
    counters: StackCounters,
    /// The number of the last snapshot that showed it, from 1.
    shown_in: usize,
    changed: bool,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            now: Vec::new(),
            live: Vec::new(),
            changed: Vec::new(),
            kept: Vec::new(),
            kept_changes: 0,
            most_snapshots: MOST_SNAPSHOTS,
            seen: 0,
            stride: 1,
            last_time: 0,
        }
    }
}

impl Counters {
    /// Takes in a snapshot, `shown` with each stack once. Returns how many stacks it does not show though they had live
    /// bytes and may have some still.
    pub(super) fn record(&mut self, time_ns: u64, shown: &[Shown], absent: Absent) -> u64 {
        self.seen += 1;
        self.last_time = time_ns;
        for &Shown { stack, bytes, count } in shown {
            let at = stack as usize;
            if self.now.len() <= at {
                self.now.resize_with(at + 1, Now::default);
            }
            if self.now[at].counters.live_bytes == 0 && bytes > 0 {
                self.live.push(stack);
            }
            let now = &mut self.now[at];
            let first = std::mem::replace(&mut now.shown_in, self.seen) == 0;
            if first || (now.counters.live_bytes, now.counters.live_count) != (bytes, count) {
                self.set(stack, bytes, count);
            }
        }
        let unknown = self.judge_absent(absent);
        if (self.seen - 1).is_multiple_of(self.stride) {
            self.keep();
            while self.kept.len() > 2
                && (self.kept.len() > self.most_snapshots || self.kept_changes > MOST_CHANGES)
            {
                self.halve();
            }
        }
        unknown
    }

    /// The stacks with live bytes that this snapshot does not show.
    fn judge_absent(&mut self, absent: Absent) -> u64 {
        let mut unknown = 0;
        let mut live = std::mem::take(&mut self.live);
        live.retain(|&stack| {
            let Now { counters, shown_in, .. } = &self.now[stack as usize];
            let (bytes, count) = (counters.live_bytes, counters.live_count);
            if *shown_in == self.seen {
                return bytes > 0;
            }
            unknown += u64::from(absent != Absent::Gone);
            match absent {
                Absent::Gone => self.set(stack, 0, 0),
                Absent::AtMost(most) if bytes > most => self.set(stack, most, share(count, most, bytes)),
                Absent::AtMost(_) | Absent::Unknown => return true,
            }
            self.now[stack as usize].counters.live_bytes > 0
        });
        self.live = live;
        unknown
    }

    fn set(&mut self, stack: u32, bytes: u64, count: u64) {
        let Now { counters, changed, .. } = &mut self.now[stack as usize];
        counters.id = stack;
        // memleak does not say what was allocated in all. At least what became live was.
        let more = |now: u64, before: u64| now.saturating_sub(before);
        counters.allocated_bytes = counters.allocated_bytes.saturating_add(more(bytes, counters.live_bytes));
        counters.allocated_count = counters.allocated_count.saturating_add(more(count, counters.live_count));
        counters.live_bytes = bytes;
        counters.live_count = count;
        if !std::mem::replace(changed, true) {
            self.changed.push(stack);
        }
    }

    fn keep(&mut self) {
        let mut stacks = Vec::with_capacity(self.changed.len());
        for stack in self.changed.drain(..) {
            let now = &mut self.now[stack as usize];
            now.changed = false;
            stacks.push(now.counters.clone());
        }
        stacks.sort_unstable_by_key(|counters| counters.id);
        self.kept_changes += stacks.len();
        self.kept.push(Snapshot { time_ns: self.last_time, stacks, ..Snapshot::default() });
    }

    /// Leaves out every second snapshot; the next one takes over its changes.
    fn halve(&mut self) {
        self.stride *= 2;
        let mut left_out: Option<Snapshot> = None;
        let mut kept = Vec::with_capacity(self.kept.len() / 2 + 1);
        for (at, mut snapshot) in std::mem::take(&mut self.kept).into_iter().enumerate() {
            if at % 2 == 1 {
                left_out = Some(snapshot);
                continue;
            }
            if let Some(before) = left_out.take() {
                snapshot.stacks = take_over(before.stacks, snapshot.stacks);
            }
            kept.push(snapshot);
        }
        for counters in left_out.into_iter().flat_map(|snapshot| snapshot.stacks) {
            if !std::mem::replace(&mut self.now[counters.id as usize].changed, true) {
                self.changed.push(counters.id);
            }
        }
        self.kept_changes = kept.iter().map(|snapshot| snapshot.stacks.len()).sum();
        self.kept = kept;
    }

    /// How many snapshots were taken in.
    pub(super) fn seen(&self) -> usize {
        self.seen
    }

    /// The snapshots that were kept, the last one among them.
    pub(super) fn into_snapshots(mut self) -> Vec<Snapshot> {
        let last_is_kept = self.kept.last().is_some_and(|last| last.time_ns == self.last_time);
        if self.seen > 0 && !last_is_kept {
            self.keep();
        }
        self.kept
    }
}

/// `count` in proportion, rounded up: what is left has a block at least.
fn share(count: u64, most: u64, bytes: u64) -> u64 {
    let share = (u128::from(count) * u128::from(most)).div_ceil(u128::from(bytes.max(1)));
    u64::try_from(share).unwrap_or(count).min(count)
}

#[cfg(test)]
mod tests;
