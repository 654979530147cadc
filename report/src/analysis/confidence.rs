//! How far the numbers can be trusted: every loss that a tracer or a reader counted, as a deduction with its reason.

use std::collections::BTreeMap;

use crate::{
    amount,
    recording::{EventKind, Mode, Recording, Skip, Source},
};

/// What takes confidence away from any verdict on a recording.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Doubts {
    /// Percentage points taken away, with the reason.
    pub(super) deductions: Vec<(u8, String)>,
    /// Why nothing can be concluded at all.
    pub(super) fatal: Vec<String>,
}

impl Doubts {
    /// `confidence` in percent less all deductions; at least 5, as it is still more than nothing.
    pub(super) fn lower(&self, confidence: u8) -> u8 {
        let all = self.deductions.iter().fold(0_u8, |sum, (points, _)| sum.saturating_add(*points));
        confidence.saturating_sub(all).max(5)
    }
}

/// What a loss is a share of.
enum Of {
    /// The allocations that were followed, and the lost ones.
    Followed,
    /// The allocations that were followed: the loss is of some of these.
    Within,
    /// What this entry of the ledger counts, and the lost ones.
    Entry(&'static str),
}

/// Losses that are counted in the ledger.
struct Loss {
    keys: &'static [&'static str],
    of: Of,
    /// What happened to the share that is put before it.
    what: &'static str,
    /// Shares from which on so many points are taken away.
    steps: &'static [(f64, u8)],
    /// Share above which nothing can be concluded.
    fatal: f64,
}

const NUMBERS: &[(f64, u8)] = &[(0.05, 35), (0.01, 15), (0.001, 5)];
const LOSSES: &[Loss] = &[
    Loss {
        keys: &["blocksFull", "countersFull", "callsFull", "walksBusy", "unreadableOut"],
        of: Of::Followed,
        what: "of the allocations were lost for want of room in the kernel: growth may be larger than shown",
        steps: NUMBERS,
        fatal: 0.2,
    },
    Loss {
        keys: &["overBudget"],
        of: Of::Followed,
        what: "of the allocations were left out, as following them would have cost more than the budget: growth may be larger than shown",
        steps: NUMBERS,
        fatal: 0.5,
    },
    Loss {
        keys: &["missedFrees", "returnsUnmatched", "freesLost"],
        of: Of::Followed,
        what: "of the frees or returns were missed: blocks may be shown as live that are not",
        steps: NUMBERS,
        fatal: 0.1,
    },
    // whoever's they were: of the target's as many were missed
    Loss {
        keys: &["nestedMisses"],
        of: Of::Entry("machineEvents"),
        what: "of what the kernel allocated and freed went unseen, as it came within another: numbers may be too high or too low",
        steps: NUMBERS,
        fatal: 0.1,
    },
    Loss {
        keys: &[
            "stacksFull",
            "walksNoMapping",
            "walksNoRows",
            "walksUnsupported",
            "walksUnreadable",
            "walksTruncated",
        ],
        of: Of::Within,
        what: "of the stacks are incomplete: different call paths may be counted as one",
        steps: &[(0.1, 10), (0.01, 5)],
        fatal: f64::INFINITY,
    },
    Loss {
        keys: &["walksReturnProbe"],
        of: Of::Within,
        what: "of the stacks end where another tool's return probe hides the caller: end that tool's tracing of the program to see them whole",
        steps: &[(0.1, 10), (0.01, 5)],
        fatal: f64::INFINITY,
    },
];

/// Entries of the ledger that take something away by being there at all: points, and what is said of one and of several.
const COUNTS: &[(&str, u8, [&str; 2])] = &[
    (
        "processesLeftOut",
        10,
        ["process of the target could not be followed", "processes of the target could not be followed"],
    ),
    (
        "childrenMissed",
        5,
        [
            "child of the target ended, or came, too fast to be followed",
            "children of the target ended, or came, too fast to be followed",
        ],
    ),
    (
        "modulesUnsearched",
        5,
        [
            "file of the target could not be searched for allocators",
            "files of the target could not be searched for allocators",
        ],
    ),
    (
        "modulesUnopened",
        5,
        ["file of the target could not be opened", "files of the target could not be opened"],
    ),
    (
        "mappingsLeftOut",
        5,
        [
            "mapping had no room in the kernel: stacks through it are incomplete",
            "mappings had no room in the kernel: stacks through them are incomplete",
        ],
    ),
    (
        "stackNotShown",
        10,
        [
            "stack could not be shown by memleak, whose storage was full",
            "stacks could not be shown by memleak, whose storage was full",
        ],
    ),
    (
        "stackOverReaderLimit",
        10,
        [
            "stack of the log was left out to keep memory bounded",
            "stacks of the log were left out to keep memory bounded",
        ],
    ),
    (
        "otherRunInLog",
        0,
        [
            "other run is in the log, and only the longest was judged",
            "other runs are in the log, and only the longest was judged",
        ],
    ),
    ("stackInformationLost", 5, ["stack of the log has no frames", "stacks of the log have no frames"]),
    (
        "stackDamagedInLog",
        5,
        [
            "stack of the log was torn apart by other output, in one snapshot",
            "stacks of the log were torn apart by other output, each in one snapshot",
        ],
    ),
    (
        "negativeCounter",
        5,
        [
            "counter of the log is below zero: memleak counted a free twice",
            "counters of the log are below zero: memleak counted frees twice",
        ],
    ),
    (
        "clockJump",
        5,
        [
            "time of the log goes back: rates of growth are by guess",
            "times of the log go back: rates of growth are by guess",
        ],
    ),
];

/// Things that happened during the run.
const EVENTS: &[(EventKind, u8, &str)] = &[
    (
        EventKind::BudgetStep,
        10,
        "The tracer lowered its own cost during the run, so numbers before and after differ",
    ),
    (EventKind::Executed, 10, "A process replaced its program during the run, and all its blocks with it"),
];

/// Things that a reader had to leave out or mend.
const SKIPS: &[(Skip, u8, &str)] = &[
    (Skip::CutOff, 10, "The recording has no end: it was cut off, and the last numbers may be missing"),
    (Skip::UnreadableLine, 10, "Parts of the recording could not be read"),
    (Skip::TimeBackwards, 10, "Times in the recording contradict each other"),
    (Skip::ImpossibleCounters, 10, "Numbers in the recording contradict each other"),
    (Skip::Repeated, 5, "Parts of the recording are there twice"),
    (Skip::UnknownStack, 5, "Some stacks of the recording were never described"),
    (Skip::UnknownKind, 5, "A newer version wrote parts of the recording that this one does not know"),
    (Skip::UnknownLine, 5, "Some lines of the log have no known form"),
];

/// Programs come and go on a machine, and the kernel's memory with them.
fn short_look_at_a_machine(recording: &Recording) -> Option<String> {
    const ENOUGH_SECONDS: f64 = 120.0;
    let header = &recording.header;
    let seconds = recording.duration_ns() as f64 / 1e9;
    let whole =
        header.mode == Mode::Kernel && header.source == Source::Leakhound && header.target.pids.is_empty();
    (whole && seconds < ENOUGH_SECONDS).then(|| {
        format!(
            "The whole machine was watched for only {}: what programs that have just begun keep open looks like a leak.",
            amount::seconds(seconds)
        )
    })
}

/// Everything about a recording that speaks against trusting it. `allocated` is the number of allocations it counts.
pub(super) fn doubts(recording: &Recording, allocated: u64) -> Doubts {
    let empty = BTreeMap::new();
    let ledger = recording.snapshots.last().map_or(&empty, |snapshot| &snapshot.ledger);
    let mut doubts = Doubts::default();
    for loss in LOSSES {
        doubts.weigh(loss, ledger, allocated);
    }
    for (key, points, [one, many]) in COUNTS {
        if let Some(count) = ledger.get(*key).filter(|count| **count > 0) {
            doubts.deduct(*points, format!("{}.", amount::counted(*count, one, many)));
        }
    }
    if let Some(reason) = short_look_at_a_machine(recording) {
        doubts.deduct(30, reason);
    }
    let happened = |kind| recording.events.iter().rfind(|event| event.what == kind);
    for (kind, points, says) in EVENTS {
        match happened(*kind) {
            Some(event) if *kind == EventKind::BudgetStep && !event.detail.is_empty() => {
                doubts.deduct(*points, format!("{says}. {}.", event.detail));
            }
            Some(_) => doubts.deduct(*points, format!("{says}.")),
            None => {}
        }
    }
    for (skip, points, says) in SKIPS {
        match recording.skipped.count(*skip) {
            0 => {}
            _ if *skip == Skip::CutOff => doubts.deduct(*points, format!("{says}.")),
            count => doubts.deduct(*points, format!("{says} ({}).", amount::counted(count, "time", "times"))),
        }
    }
    if recording.header.source != Source::Leakhound {
        let says = "A text log has neither resident memory nor the fate of single blocks, and only its largest stacks.";
        doubts.deduct(10, says.to_owned());
    }
    let settings = &recording.header.settings;
    if settings.min_size_bytes > 0 {
        let least = amount::bytes(settings.min_size_bytes);
        doubts.deduct(5, format!("Allocations smaller than {least} were not followed."));
    }
    if settings.sample_period_bytes > 0 {
        let period = amount::bytes(settings.sample_period_bytes);
        doubts.deduct(
            5,
            format!("Only about one allocation in every {period} was followed: the sums are estimates."),
        );
    }
    if happened(EventKind::Gap).is_some() {
        let says = "Some of the time was not watched: what was freed then still counts as live.";
        doubts.fatal.push(says.to_owned());
    }
    doubts
}

impl Doubts {
    fn deduct(&mut self, points: u8, reason: String) {
        self.deductions.push((points, reason));
    }

    fn weigh(&mut self, loss: &Loss, ledger: &BTreeMap<String, u64>, allocated: u64) {
        let count = loss
            .keys
            .iter()
            .filter_map(|key| ledger.get(*key))
            .fold(0, |sum: u64, count| sum.saturating_add(*count));
        if count == 0 {
            return;
        }
        let all = match loss.of {
            Of::Followed => allocated.saturating_add(count),
            Of::Within => allocated.max(count),
            Of::Entry(key) => ledger.get(key).map_or(allocated, |seen| *seen).saturating_add(count),
        };
        let share = count as f64 / all as f64;
        let reason = format!("{} {}.", amount::percent(share), loss.what);
        if share > loss.fatal {
            self.fatal.push(reason);
        } else if let Some((_, points)) = loss.steps.iter().find(|(from, _)| share >= *from) {
            self.deduct(*points, reason);
        }
    }
}

#[cfg(test)]
mod tests;
