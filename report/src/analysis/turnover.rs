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
        if matches!(finding.class, Class::Leak | Class::Suspected) {
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
