//! What a user may choose about an investigation.

use std::{path::PathBuf, time::Duration};

use leakhound_report::recording::Mode;

use crate::{allocator::Wanted, budget::Budget, rung::Rung, sampling::Period};

/// Stretches of time by which blocks are told apart; 32 draw a survival curve and keep the counters few.
pub const COHORTS: u32 = 32;

/// How much the kernel side may hold. Everything is allocated at once: a map that grows at its cgroup's
/// memory limit gets its owner killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Live blocks, about 110 bytes each.
    pub blocks: u32,
    /// Pairs of stack and cohort, about 100 bytes each.
    pub counters: u32,
    /// Different stacks, about 840 bytes each.
    pub stacks: u32,
    /// Rows of unwind tables, 8 bytes each: those of the modules found, and room for libraries loaded later.
    pub rows: u32,
    /// Pages of code, 8 bytes each.
    pub pages: u32,
    /// Bytes of ended blocks that wait to be written to a block log, 72 each: a power of two, and whole pages.
    pub stream: u32,
}

impl Default for Capacity {
    /// For a million live blocks: 113 MiB, and 32 MiB when counters and stacks fill as well.
    fn default() -> Self {
        Self { blocks: 1_000_000, counters: 131_072, stacks: 16_384, rows: 0, pages: 0, stream: 1 << 20 }
    }
}

impl Capacity {
    /// For a look at ourselves.
    pub(crate) const SELF_TEST: Self =
        Self { blocks: 4096, counters: 1024, stacks: 256, rows: 1, pages: 1, stream: 4096 };
}

/// What a user may choose about an investigation.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What to watch.
    pub mode: Mode,
    /// How long to watch.
    pub duration: Duration,
    /// Time between snapshots.
    pub interval: Duration,
    /// Which of the target's allocators to probe in heap mode.
    pub allocator: Wanted,
    /// Allocations smaller than this are not followed, bytes; 0 follows all.
    pub min_size: u64,
    /// Follow a sample of the allocations; `None` follows every one.
    pub sample: Option<Period>,
    /// What the probes may cost; `None` is whatever it takes.
    pub budget: Option<Budget>,
    /// Events a second that watching goes on with, whatever they cost; `None` is any number.
    pub most_events: Option<u64>,
    /// One way of attaching, instead of the best that works here.
    pub rung: Option<Rung>,
    /// How much the kernel side may hold; rows and pages are found out.
    pub capacity: Capacity,
    /// Where to look for separate debug files, after the target's own root.
    pub debug_dirs: Vec<PathBuf>,
    /// A file for the life of every single block.
    pub block_log: Option<PathBuf>,
    /// How many of the oldest blocks to keep of each of the stacks with the most live bytes.
    pub blocks_per_stack: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Heap,
            duration: Duration::from_mins(1),
            interval: Duration::from_secs(3),
            allocator: Wanted::default(),
            min_size: 0,
            sample: None,
            budget: None,
            most_events: None,
            rung: None,
            capacity: Capacity::default(),
            debug_dirs: vec![PathBuf::from("/usr/lib/debug")],
            block_log: None,
            blocks_per_stack: 5,
        }
    }
}

impl Settings {
    /// Length of one cohort: whole intervals, and few enough that a run has at most [`COHORTS`] of them.
    pub fn cohort(&self) -> Duration {
        let interval = self.interval.as_nanos().max(1);
        let snapshots = self.duration.as_nanos().div_ceil(interval).max(1);
        let intervals = snapshots.div_ceil(u128::from(COHORTS));
        let nanoseconds = interval.saturating_mul(intervals);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cohorts_are_whole_intervals_and_at_most_32() {
        let cohort = |duration, interval| {
            let duration = Duration::from_secs(duration);
            Settings { duration, interval: Duration::from_secs(interval), ..Settings::default() }
                .cohort()
                .as_secs()
        };
        assert_eq!(cohort(10, 1), 1);
        assert_eq!(cohort(32, 1), 1);
        assert_eq!(cohort(33, 1), 2);
        assert_eq!(cohort(3600, 60), 120);
        assert_eq!(cohort(5, 10), 10);
    }
}
