//! What a user may choose about an investigation.

use std::{path::PathBuf, time::Duration};

use crate::{
    heap::{COHORTS, Capacity},
    rung::Rung,
};

/// What a user may choose about an investigation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long to watch.
    pub duration: Duration,
    /// Time between snapshots.
    pub interval: Duration,
    /// Allocations smaller than this are not followed, bytes; 0 follows all.
    pub min_size: u64,
    /// One way of attaching, instead of the best that works here.
    pub rung: Option<Rung>,
    /// How much the kernel side may hold; rows and pages are found out.
    pub capacity: Capacity,
    /// Where to look for separate debug files, after the target's own root.
    pub debug_dirs: Vec<PathBuf>,
    /// How many of the oldest blocks to keep of each of the stacks with the most live bytes.
    pub blocks_per_stack: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            duration: Duration::from_mins(1),
            interval: Duration::from_secs(3),
            min_size: 0,
            rung: None,
            capacity: Capacity::default(),
            debug_dirs: vec![PathBuf::from("/usr/lib/debug")],
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
