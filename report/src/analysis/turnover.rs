//! A full cache whose old entries are from before the probes: its new blocks all stay, like a leak's, but for each of them an
//! old one is freed that nobody saw allocated, and memory does not grow.

use crate::{
    amount,
    recording::{Recording, Snapshot},
};

use super::{Class, Finding, reconcile::Reconciliation, series::Series};

/// What replaced what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turnover {
    /// Growth of live bytes.
    pub(super) live: u64,
    /// Frees of blocks from before the probes went on.
    pub(super) replaced: u64,
}

impl Turnover {
    /// Counted over the second half: at first every program frees what it was just using.
    pub(super) fn find(
        recording: &Recording,
        series: &[Series<'_>],
        memory: Option<&Reconciliation>,
    ) -> Option<Self> {
        /// Growth that must show in resident memory, which comes in pages of 4 KiB.
        const VISIBLE: u64 = 16 * 4096;
        let memory = memory?;
        let settings = &recording.header.settings;
        if settings.min_size_bytes > 0 || settings.sample_period_bytes > 0 {
            return None; // then the frees of blocks that were left out match nothing either
        }
        let live = memory.live.1.saturating_sub(memory.live.0);
        let half = recording.snapshots.len() / 2;
        let (middle, end) = (recording.snapshots.get(half)?, recording.snapshots.last()?);
        let replaced = unmatched(end).saturating_sub(unmatched(middle));
        let blocks = |at: usize| {
            let counts =
                series.iter().flat_map(|one| one.history.sample(&[at], |counters| counters.live_count));
            counts.fold(0, u64::saturating_add)
        };
        let grown = blocks(recording.snapshots.len() - 1).saturating_sub(blocks(half));
        let one_for_one = grown > 0 && replaced as f64 >= 0.5 * grown as f64;
        let grew = memory.changed > 0.25 * live as f64;
        (one_for_one && live >= VISIBLE && !grew).then_some(Self { live, replaced: unmatched(end) })
    }

    /// Takes back what growth alone said about a stack.
    pub(super) fn excuse(self, finding: &mut Finding) {
        if finding.class.is_alarm() {
            finding.class = Class::Inconclusive;
            finding.evidence.because =
                format!("{} But older blocks are freed as new ones come.", finding.evidence.because);
        }
    }

    /// The same for the whole target.
    pub(super) fn sentence(self) -> String {
        format!(
            "{} of new blocks stay, but {} blocks from before were freed meanwhile and memory did not grow: a full cache that \
             turns over looks like this. Watch for longer than it takes to replace everything.",
            amount::bytes(self.live),
            self.replaced
        )
    }
}

fn unmatched(snapshot: &Snapshot) -> u64 {
    snapshot.ledger.get("unmatchedFrees").copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Options,
        analysis::VerdictName,
        analyze,
        recording::{Cohort, Header, Process, Record, Settings, Stack, StackCounters},
    };

    /// The verdict on a stack that keeps 100 blocks of 1 KiB a second for 12 seconds, while so many unknown blocks are
    /// freed and anonymous memory grows by so much a second.
    fn verdict(unmatched: u64, anonymous: u64, min_size_bytes: u64) -> VerdictName {
        let settings = Settings { cohort_ns: 1_000_000_000, min_size_bytes, ..Settings::default() };
        let mut recording = Recording::new(Header { settings, ..Header::default() });
        recording.push(Record::Stack(Stack::default()));
        for second in 1..=12_u32 {
            let at = u64::from(second);
            let cohort = Cohort { number: second - 1, allocated_bytes: 102_400, live_bytes: 102_400 };
            recording.push(Record::Snapshot(Snapshot {
                time_ns: at * 1_000_000_000,
                processes: vec![Process {
                    anonymous_bytes: 5_000_000 + at * anonymous,
                    ..Process::default()
                }],
                stacks: vec![StackCounters {
                    live_bytes: at * 102_400,
                    live_count: at * 100,
                    allocated_bytes: at * 102_400,
                    allocated_count: at * 100,
                    cohorts: vec![cohort],
                    ..StackCounters::default()
                }],
                ledger: [("unmatchedFrees".to_owned(), at * unmatched)].into(),
                ..Snapshot::default()
            }));
        }
        analyze(&recording, &Options::default()).verdict.name
    }

    #[test]
    fn a_cache_that_turns_over_is_no_leak_and_a_leak_beside_one_is() {
        assert_eq!(verdict(100, 0, 0), VerdictName::Inconclusive, "one for one, and memory stays");
        assert_eq!(verdict(100, 102_400, 0), VerdictName::LeakLikely, "memory grows");
        assert_eq!(verdict(2, 0, 0), VerdictName::LeakLikely, "far fewer are freed than stay");
        assert_eq!(
            verdict(100, 0, 16),
            VerdictName::LeakLikely,
            "the frees may be of blocks too small to follow"
        );
    }
}
