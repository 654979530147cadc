//! A sample stands for the whole: its sums are the program's own, within the error that they say.

use std::{process::Command, time::Duration};

use leakhound_report::{
    analysis::{Options, analyze},
    recording::{EventKind, Mode, Skip},
};
use leakhound_tracer::{
    budget::Budget, investigation::Subject, locate::Target, process::ProcessId, rung::Rung, sampling::Period,
};

use crate::support::{
    Running, by, can_probe, command, compile, end, ledger, short, through, wait_for, watch, watch_command,
};

#[test]
fn estimates_are_what_five_programs_hold() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "holdings.c", "holdings", &["-g", "-O2"]);
    for kind in ["small", "mixed", "large", "grown", "threads"] {
        let printed = Command::new(&program).arg(kind).output().unwrap();
        let truth: f64 = String::from_utf8(printed.stdout).unwrap().trim().parse().unwrap();
        let mut settings = short(Duration::from_secs(120));
        settings.sample = Some(Period::at_least(64 << 10).unwrap());
        let recording = watch_command(&command(&program, &[kind]), &settings).unwrap();
        assert_eq!(recording.header.settings.sample_period_bytes, 64 << 10);
        let totals = analyze(&recording, &Options::default()).totals;
        let (estimate, error) = (totals.live_bytes as f64, totals.live_error_bytes.unwrap() as f64);
        // two thirds are within one error, all but one in 16,000 within four
        assert!((estimate - truth).abs() < 4.0 * error, "{kind}: {estimate} ± {error}, not {truth}");
        assert!(error < truth / 5.0, "{kind}: {estimate} ± {error} says nothing");
        assert!(ledger(&recording, "unsampledAllocations") > 0, "{kind}");
        for loss in
            ["blocksFull", "countersFull", "callsFull", "walksBusy", "missedFrees", "returnsUnmatched"]
        {
            assert_eq!(ledger(&recording, loss), 0, "{kind}: {loss}");
        }
    }
}

#[test]
fn what_is_all_freed_leaves_nothing_on_any_rung() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "closed_loop.c", "closed_loop_sampled", &["-g", "-O2"]);
    for rung in Rung::LADDER {
        let mut settings = by(rung, short(Duration::from_secs(120)));
        settings.sample = Some(Period::at_least(16 << 10).unwrap());
        let recording = watch_command(&command(&program, &["10000", "2"]), &settings).unwrap();
        let seen = through(&recording, "allocate_and_free");
        assert_eq!((seen.live_count, seen.live_bytes, seen.live_error_bytes), (0, 0, 0), "{}", rung.name());
        // 140,000 allocations, of which realloc(NULL, n) passes through two probed functions
        let estimate = seen.allocated_count;
        assert!((120_000..160_000).contains(&estimate), "{}: {estimate} blocks", rung.name());
        assert!(ledger(&recording, "allocations") < 20_000, "{}", rung.name());
        assert_eq!(ledger(&recording, "returnsUnmatched"), 0, "{}", rung.name());
    }
}

/// Pairs per tenth of a second, as the program prints them.
fn traffic(lines: &[u8]) -> Vec<u64> {
    String::from_utf8_lossy(lines).lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn a_busy_program_is_sampled_to_keep_to_the_budget() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "traffic.c", "traffic_busy", &["-g", "-O2"]);
    let mut settings = short(Duration::from_secs(60));
    // 30,000 pairs: full tracking costs some 10 % here, the traps alone some 5 %
    settings.budget = Some(Budget::new(0.08).unwrap());
    let recording = watch_command(&command(&program, &["6", "30000"]), &settings).unwrap();
    let steps: Vec<_> = recording.events.iter().filter(|event| event.what == EventKind::BudgetStep).collect();
    // a machine as fast as that has nothing to give up, one as slow lets go: both are said
    if let Some(step) = steps.first() {
        assert!(step.detail.contains("more than the budget of 8 %"), "{}", step.detail);
        let verdict = analyze(&recording, &Options::default()).verdict;
        assert!(
            verdict.reasons.iter().any(|reason| reason.contains("lowered its own cost")),
            "{:?}",
            verdict.reasons
        );
    }
    if end(&recording).reason == "targetExited" {
        let seen = through(&recording, "allocate_and_free");
        assert!(seen.live_count <= 1, "blocks of before and after the step are both freed: {seen:?}");
    }
}

#[test]
fn a_program_that_allocates_all_the_time_is_let_go_within_a_second() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "traffic.c", "traffic_endless", &["-g", "-O2"]);
    let output = tempfile::NamedTempFile::new().unwrap();
    let child = Command::new(&program).args(["120", "0"]).stdout(output.reopen().unwrap()).spawn();
    let target = Running(child.unwrap());
    let lines = || traffic(&std::fs::read(output.path()).unwrap());
    wait_for("a second of undisturbed traffic", || lines().len() >= 10);
    let mut settings = short(Duration::from_secs(60));
    settings.budget = Some(Budget::new(0.05).unwrap());
    let subject = Subject::Running(Target::Process(ProcessId::find(target.0.id()).unwrap()));
    settings.duration = Duration::from_secs(30);
    let recording = watch(subject, &settings).unwrap();
    eprintln!("{:?} mode to the end", recording.header.mode);
    // on a machine so busy that it takes longer, nothing takes over
    match recording.header.mode {
        Mode::Growth => assert_eq!(end(&recording).reason, "duration", "{:?}", recording.events),
        _ => assert_eq!(end(&recording).reason, "budget", "{:?}", recording.events),
    }
    // of its own time, however little of that a busy machine gives it
    let (cost, seconds) = (end(&recording).overhead, end(&recording).time_ns as f64 / 1e9);
    let lost = cost.events as f64 * cost.probe_ns / 1e9;
    let heap = recording.header.mode == Mode::Heap;
    assert!(!heap || lost < 1.0 + 0.05 * seconds, "it lost {lost} s in {seconds} s: {cost:?}");
    let said = &recording.events.iter().rfind(|event| event.what == EventKind::BudgetStep).unwrap().detail;
    assert!(said.contains("the probes came off") && said.contains("--budget off"), "{said}");
    let watched = lines().len();
    wait_for("a second of undisturbed traffic again", || lines().len() >= watched + 10);
    drop(target);
    // probed it is a hundred times slower: it is not any more
    let pairs = lines();
    let fastest = |lines: &[u64]| lines.iter().copied().max().unwrap();
    let (before, after) = (fastest(&pairs[..10]), fastest(&pairs[watched + 1..]));
    assert!(after > before / 10, "{pairs:?}");
    let verdict = analyze(&recording, &Options::default()).verdict;
    assert!(verdict.reasons.iter().any(|reason| reason.contains("budget")), "{:?}", verdict.reasons);
}

#[test]
fn what_cannot_afford_probes_is_watched_in_growth_mode() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "traffic.c", "traffic_costly", &["-g", "-O2"]);
    let mut settings = short(Duration::from_secs(60));
    // spent within milliseconds, also on a busy machine
    settings.budget = Some(Budget::new(0.001).unwrap());
    let recording = watch_command(&command(&program, &["6", "0"]), &settings).unwrap();
    assert_eq!(recording.header.mode, Mode::Growth, "{:?}", recording.events);
    assert_eq!(end(&recording).reason, "targetExited", "{:?}", recording.events);
    assert!(recording.snapshots.len() >= 3, "{:?}", recording.events);
    let step = recording.events.iter().find(|event| event.what == EventKind::BudgetStep).unwrap();
    assert!(step.detail.contains("Growth mode goes on"), "{}", step.detail);
    let verdict = analyze(&recording, &Options::default()).verdict;
    assert!(verdict.reasons.iter().any(|reason| reason.contains("0.1 %")), "{:?}", verdict.reasons);
    assert_eq!(recording.skipped.count(Skip::Repeated), 0, "one header only");
}
