//! What a log does not tell, counted: it goes into the ledger, beside the losses of a recording.

use std::collections::BTreeMap;

/// One kind of thing that a log does not tell, or that this reader left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Loss {
    /// A stack was below the top of one snapshot: it kept its last value, at most that of the smallest stack shown.
    StackAbsent,
    /// A stack was torn apart by other output and left out of one snapshot.
    StackDamaged,
    /// Allocations without frames.
    StackInformation,
    /// libbpf-tools said that it could not show so many stacks.
    StackNotShown,
    /// A stack beyond the number that this reader keeps apart.
    StackOverLimit,
    /// A counter below zero: frees that memleak counted twice. It counts as 0.
    NegativeCounter,
    /// A snapshot left out to keep memory bounded; the ones around it hold its changes.
    SnapshotThinned,
    /// A snapshot of another run in the same log; the longest run was read.
    SnapshotOfOtherRun,
    /// Another run in the same log.
    OtherRun,
    /// The clock went backwards.
    ClockJump,
    /// A line of memleak that belongs to no snapshot: the head of the log was cut off.
    LineOutsideSnapshot,
}

impl Loss {
    const fn key(self) -> &'static str {
        match self {
            Self::StackAbsent => "stackAbsentFromSnapshot",
            Self::StackDamaged => "stackDamagedInLog",
            Self::StackInformation => "stackInformationLost",
            Self::StackNotShown => "stackNotShown",
            Self::StackOverLimit => "stackOverReaderLimit",
            Self::NegativeCounter => "negativeCounter",
            Self::SnapshotThinned => "snapshotThinned",
            Self::SnapshotOfOtherRun => "snapshotOfOtherRun",
            Self::OtherRun => "otherRunInLog",
            Self::ClockJump => "clockJump",
            Self::LineOutsideSnapshot => "lineOutsideSnapshot",
        }
    }
}

/// How often each thing was lost.
#[derive(Debug, Clone, Default)]
pub(super) struct Losses(BTreeMap<Loss, u64>);

impl Losses {
    pub(super) fn add(&mut self, loss: Loss, count: u64) {
        if count > 0 {
            let sum = self.0.entry(loss).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    pub(super) fn extend(&mut self, other: &Self) {
        for (&loss, &count) in &other.0 {
            self.add(loss, count);
        }
    }

    /// By name, as the ledger of a snapshot has them.
    pub(super) fn ledger(&self) -> BTreeMap<String, u64> {
        self.0.iter().map(|(loss, &count)| (loss.key().to_owned(), count)).collect()
    }
}
