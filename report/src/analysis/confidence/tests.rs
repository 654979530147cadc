use super::*;
use crate::recording::{End, Event, Header, Record, Settings, Snapshot};

struct Run {
    ledger: &'static [(&'static str, u64)],
    settings: Settings,
    source: Source,
    event: Option<EventKind>,
    cut_off: bool,
}

const SOUND: Run = Run {
    ledger: &[],
    settings: Settings {
        duration_ns: 0,
        interval_ns: 0,
        min_size_bytes: 0,
        sample_period_bytes: 0,
        cohort_ns: 0,
    },
    source: Source::Leakhound,
    event: None,
    cut_off: false,
};

/// Doubts about a run of 10,000 allocations.
fn doubts_of(run: Run) -> Doubts {
    let header = Header { settings: run.settings, source: run.source, ..Header::default() };
    let mut recording = Recording::new(header);
    let ledger = run.ledger.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect();
    recording.push(Record::Snapshot(Snapshot { ledger, ..Snapshot::default() }));
    if let Some(what) = run.event {
        recording.push(Record::Event(Event { time_ns: 0, pid: None, what, detail: String::new() }));
    }
    if run.cut_off {
        recording.skipped.add(Skip::CutOff);
    } else {
        recording.push(Record::End(End::default()));
    }
    doubts(&recording, 10_000)
}

#[test]
fn each_loss_takes_something_away_and_says_why() {
    let min_size = Settings { min_size_bytes: 512, ..Settings::default() };
    let sampled = Settings { sample_period_bytes: 1 << 19, ..Settings::default() };
    let cases: [(&str, Run, u8, &str); 20] = [
        ("sound", SOUND, 90, ""),
        (
            "counts that are no loss",
            Run { ledger: &[("frees", 9), ("unmatchedFrees", 500)], ..SOUND },
            90,
            "",
        ),
        ("a lost one in 100,000", Run { ledger: &[("blocksFull", 0)], ..SOUND }, 90, ""),
        (
            "few lost",
            Run { ledger: &[("blocksFull", 50)], ..SOUND },
            85,
            "under 1 % of the allocations were lost",
        ),
        (
            "lost in two ways",
            Run { ledger: &[("walksBusy", 150), ("countersFull", 150)], ..SOUND },
            75,
            "3 % of",
        ),
        ("over budget", Run { ledger: &[("overBudget", 1500)], ..SOUND }, 55, "more than the budget"),
        ("many lost", Run { ledger: &[("callsFull", 1500)], ..SOUND }, 55, "13 % of the allocations"),
        ("missed frees", Run { ledger: &[("missedFrees", 200)], ..SOUND }, 75, "2 % of the frees"),
        (
            "missed on the whole machine",
            Run { ledger: &[("nestedMisses", 500), ("machineEvents", 400_000)], ..SOUND },
            85,
            "under 1 % of what the kernel",
        ),
        ("short stacks", Run { ledger: &[("walksNoRows", 5000)], ..SOUND }, 80, "50 % of the stacks"),
        ("processes", Run { ledger: &[("processesLeftOut", 3)], ..SOUND }, 80, "3 processes"),
        ("budget", Run { event: Some(EventKind::BudgetStep), ..SOUND }, 80, "lowered its own cost"),
        ("exec", Run { event: Some(EventKind::Executed), ..SOUND }, 80, "replaced its program"),
        ("attached", Run { event: Some(EventKind::Attached), ..SOUND }, 90, ""),
        ("cut off", Run { cut_off: true, ..SOUND }, 80, "no end"),
        ("log", Run { source: Source::MemleakBcc, ..SOUND }, 80, "text log"),
        ("least size", Run { settings: min_size, ..SOUND }, 85, "smaller than 512 B"),
        ("sampled", Run { settings: sampled, ..SOUND }, 85, "one allocation in every 512 KiB"),
        ("all at once", Run { ledger: &[("blocksFull", 1000), ("missedFrees", 900)], ..SOUND }, 20, "lost"),
        (
            "worse than worthless",
            Run {
                ledger: &[
                    ("blocksFull", 1500),
                    ("missedFrees", 900),
                    ("processesLeftOut", 1),
                    ("walksNoRows", 9000),
                ],
                cut_off: true,
                ..SOUND
            },
            5,
            "lost",
        ),
    ];
    for (name, run, confidence, reason) in cases {
        let doubts = doubts_of(run);
        assert_eq!(doubts.fatal, [""; 0], "{name}");
        assert_eq!(doubts.lower(90), confidence, "{name}: {doubts:?}");
        let reasons: Vec<&str> = doubts.deductions.iter().map(|(_, reason)| reason.as_str()).collect();
        assert!(reasons.join(" ").contains(reason), "{name}: {reasons:?}");
        assert_eq!(reasons.is_empty(), confidence == 90, "{name}: no deduction without a reason");
    }
}

#[test]
fn some_losses_leave_nothing_to_conclude() {
    let cases = [
        ("a third lost", Run { ledger: &[("blocksFull", 5000)], ..SOUND }),
        ("frees missed", Run { ledger: &[("missedFrees", 2000)], ..SOUND }),
        ("a gap", Run { event: Some(EventKind::Gap), ..SOUND }),
    ];
    for (name, run) in cases {
        assert_eq!(doubts_of(run).fatal.len(), 1, "{name}");
    }
}
