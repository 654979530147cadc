//! What watching may cost, and what is given up to keep to it.

use std::{path::Path, process::Command, sync::atomic::AtomicBool, time::Duration};

use leakhound_report::{
    analysis::{Options, analyze},
    recording::{EventKind, Mode, Skip},
};
use leakhound_tracer::{
    budget::Budget, investigation::Subject, launch::Launched, locate::Target, process::ProcessId,
    settings::Settings,
};

use crate::support::{
    Running, can_probe, command, compile, end, ledger, short, through, wait_for, watch, watch_command,
    watch_with,
};

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

/// Programs that want every processor all the time.
fn hogs() -> Vec<Running> {
    let count = std::thread::available_parallelism().map_or(2, usize::from) * 2;
    let busy = ["-c", "while :; do :; done"];
    (0..count).map(|_| Running::start(Path::new("/bin/sh"), &busy)).collect()
}

fn a_program_without_rest_is_let_go(name: &str, beside: impl FnOnce() -> Vec<Running>) {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "traffic.c", name, &["-g", "-O2"]);
    let output = tempfile::NamedTempFile::new().unwrap();
    let child = Command::new(&program).args(["300", "0"]).stdout(output.reopen().unwrap()).spawn();
    let target = Running(child.unwrap());
    let lines = || traffic(&std::fs::read(output.path()).unwrap());
    let others = beside();
    wait_for("two seconds of undisturbed traffic", || lines().len() >= 20);
    let mut settings = short(Duration::from_secs(20));
    settings.budget = Some(Budget::new(0.05).unwrap());
    let subject = Subject::Running(Target::Process(ProcessId::find(target.0.id()).unwrap()));
    let recording = watch(subject, &settings).unwrap();
    let watched = lines().len();
    assert_eq!(end(&recording).reason, "duration", "{:?}", recording.events);
    wait_for("a second of undisturbed traffic again", || lines().len() >= watched + 10);
    drop((target, others));
    let steps: Vec<_> = recording.events.iter().filter(|event| event.what == EventKind::BudgetStep).collect();
    let Some(step) = steps.last() else {
        // where the program gets so little of the processors that probes cannot cost it more than the budget
        let (cost, seconds) = (end(&recording).overhead, end(&recording).time_ns as f64 / 1e9);
        let lost = cost.events as f64 * cost.probe_ns / 1e9;
        assert!(lost <= 1.0 + 0.05 * seconds, "it lost {lost} s in {seconds} s: {cost:?}");
        return;
    };
    assert_eq!(recording.header.mode, Mode::Growth, "{:?}", recording.events);
    let said = &step.detail;
    assert!(said.contains("the probes came off after") && said.contains("A larger budget"), "{said}");
    // of its own time, however little of that a busy machine gives it
    let words: Vec<&str> = said.split(' ').collect();
    let after = words.iter().position(|word| *word == "after").unwrap();
    let lost: f64 = words[after + 1].parse().unwrap();
    assert!(lost < 1.0, "{said}");
    // probed it is a hundred times slower: it is not any more
    let pairs = lines();
    let fastest = |lines: &[u64]| lines.iter().copied().max().unwrap();
    let (before, after) = (fastest(&pairs[..10]), fastest(&pairs[watched + 1..]));
    assert!(after > before / 10, "{pairs:?}");
    let verdict = analyze(&recording, &Options::default()).verdict;
    assert!(verdict.reasons.iter().any(|reason| reason.contains("budget")), "{:?}", verdict.reasons);
}

#[test]
fn a_program_that_allocates_all_the_time_is_let_go_within_a_second() {
    a_program_without_rest_is_let_go("traffic_endless", Vec::new);
}

#[test]
fn it_is_let_go_as_soon_where_processors_are_scarce() {
    a_program_without_rest_is_let_go("traffic_starved", hogs);
}

/// As on a machine so busy that the tracer gets no processor: the kernel side keeps to the budget by itself.
#[test]
fn while_nobody_looks_no_more_is_followed_than_the_budget_pays_for() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "traffic.c", "traffic_unwatched", &["-g", "-O2"]);
    let mut settings = short(Duration::from_secs(60));
    // one interval only, so that no other mode takes over
    settings.interval = settings.duration;
    settings.budget = Some(Budget::new(0.05).unwrap());
    let words = command(&program, &["300", "0"]);
    let subject = Subject::Launched(Launched::spawn(&words, false).unwrap());
    let mut looked = 0;
    let mut when_on = || {
        looked += 1;
        if looked == 1 {
            std::thread::sleep(Duration::from_secs(3));
        }
    };
    let recording = watch_with(subject, &settings, &AtomicBool::new(false), &mut when_on).unwrap();
    assert_eq!((recording.header.mode, end(&recording).reason.as_str()), (Mode::Heap, "budget"));
    let (followed, left_out) = (ledger(&recording, "allocations"), ledger(&recording, "overBudget"));
    assert!(followed > 1000 && left_out > 1000, "{followed} followed, {left_out} left out");
    let steps: Vec<_> = recording.events.iter().filter(|event| event.what == EventKind::BudgetStep).collect();
    assert!(steps[0].detail.contains("the budget of 5 %"), "{steps:?}");
}

#[test]
fn growth_mode_ends_when_it_costs_more_than_its_budget() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "grower.c", "grower_costly", &["-g", "-O2"]);
    let mut settings = Settings { mode: Mode::Growth, ..short(Duration::from_secs(60)) };
    settings.budget = Some(Budget::new(0.0005).unwrap());
    let recording = watch_command(&command(&program, &["100000"]), &settings).unwrap();
    assert_eq!(end(&recording).reason, "budget", "{:?}", recording.events);
    let said: Vec<_> = recording.events.iter().filter(|event| event.what == EventKind::BudgetStep).collect();
    assert!(said[0].detail.contains("pages taken or given back a second"), "{said:?}");
    assert!(said[0].detail.contains("the budget of 0.05 %"), "{said:?}");
    let cost = end(&recording).overhead;
    assert!(cost.events > 0 && cost.probe_ns > 0.0, "{cost:?}");
    let verdict = analyze(&recording, &Options::default()).verdict;
    assert!(verdict.reasons.iter().any(|reason| reason.contains("0.05 %")), "{:?}", verdict.reasons);
}

#[test]
fn kernel_mode_takes_a_sample_to_keep_to_its_budget() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "pipes.c", "pipes_costly", &["-g", "-O2"]);
    let mut settings = Settings { mode: Mode::Kernel, ..short(Duration::from_secs(6)) };
    settings.budget = Some(Budget::new(0.0005).unwrap());
    let recording = watch_command(&command(&program, &["100000", "1"]), &settings).unwrap();
    let said: Vec<_> = recording.events.iter().filter(|event| event.what == EventKind::BudgetStep).collect();
    assert!(said[0].detail.contains("allocations and frees of the kernel a second"), "{said:?}");
    assert!(
        said[0].detail.contains("a sample is followed") || end(&recording).reason == "budget",
        "{said:?}"
    );
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
    assert!(
        step.detail.ends_with("goes on regardless. Growth mode goes on without probes"),
        "{}",
        step.detail
    );
    let verdict = analyze(&recording, &Options::default()).verdict;
    assert!(verdict.reasons.iter().any(|reason| reason.contains("0.1 %")), "{:?}", verdict.reasons);
    assert_eq!(recording.skipped.count(Skip::Repeated), 0, "one header only");
}
