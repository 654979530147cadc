use crate::{
    analysis::{Analysis, Class, Options, VerdictName, analyze},
    recording::{
        Allocator, Cohort, End, Event, EventKind, Header, Mode, Pod, Process, Record, Recording, Settings,
        Snapshot, Source, StackCounters, Target,
    },
};

const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;

/// A run of one process with a snapshot a second.
struct Run<'a> {
    header: Header,
    snapshots: u64,
    /// Live bytes of each stack.
    live: &'a dyn Fn(u64) -> Vec<u64>,
    /// Blocks of each stack are never freed; otherwise all but the youngest are.
    stays: bool,
    anonymous: &'a dyn Fn(u64) -> u64,
    /// Bytes that were allocated and freed beside the live ones, in each second.
    churn: u64,
    ledger: &'a [(&'a str, u64)],
    event: Option<EventKind>,
}

impl Run<'_> {
    fn analyzed(&self) -> Analysis {
        let mut recording = Recording::new(self.header.clone());
        for at in 1..=self.snapshots {
            let stacks = (1..)
                .zip((self.live)(at))
                .map(|(id, live_bytes)| self.counters(id, live_bytes, at))
                .collect();
            let anonymous_bytes = (self.anonymous)(at);
            let process =
                Process { pid: 7, anonymous_bytes, rss_bytes: anonymous_bytes + MIB, ..Process::default() };
            let processes = if self.header.source == Source::Leakhound { vec![process] } else { Vec::new() };
            let ledger = self.ledger.iter().map(|(key, count)| ((*key).to_owned(), count * at)).collect();
            recording.push(Record::Snapshot(Snapshot {
                time_ns: at * SECOND,
                processes,
                stacks,
                ledger,
                ..Snapshot::default()
            }));
        }
        if let Some(what) = self.event {
            recording.push(Record::Event(Event { time_ns: SECOND, pid: None, what, detail: String::new() }));
        }
        recording.push(Record::End(End { time_ns: self.snapshots * SECOND, ..End::default() }));
        analyze(&recording, &Options::default())
    }

    fn counters(&self, id: u32, live_bytes: u64, at: u64) -> StackCounters {
        let cohort = |number: u64| {
            let before = if number == 0 { 0 } else { (self.live)(number)[id as usize - 1] };
            let born = (self.live)(number + 1)[id as usize - 1].saturating_sub(before);
            let live_bytes = if self.stays || number + 1 == at { born } else { 0 };
            Cohort { number: u32::try_from(number).unwrap(), allocated_bytes: born + self.churn, live_bytes }
        };
        StackCounters {
            id,
            live_bytes,
            live_count: live_bytes.div_ceil(1000),
            live_error_bytes: 0,
            allocated_bytes: live_bytes + self.churn * at,
            allocated_count: (live_bytes + self.churn * at).div_ceil(1000),
            missed_frees: 0,
            cohorts: (0..at).map(cohort).collect(),
        }
    }
}

fn heap() -> Header {
    let settings = Settings { cohort_ns: SECOND, ..Settings::default() };
    let allocators = vec![Allocator { family: "jemalloc".to_owned(), ..Allocator::default() }];
    Header { settings, allocators, ..Header::default() }
}

/// Twelve snapshots of one stack in whose cohorts all blocks stay, and memory to match.
fn leaking() -> Run<'static> {
    Run {
        header: heap(),
        snapshots: 12,
        live: &|at| vec![at * MIB],
        stays: true,
        anonymous: &|at| (10 + at) * MIB,
        churn: 0,
        ledger: &[],
        event: None,
    }
}

fn steady() -> Run<'static> {
    Run { live: &|_| vec![MIB, 4096], anonymous: &|_| 20 * MIB, churn: 5 * MIB, ..leaking() }
}

#[test]
fn each_verdict_has_its_reasons() {
    let text_log = Header { source: Source::MemleakBcc, ..Header::default() };
    let cases: [Expected<'_>; 16] = [
        ("leak", leaking(), VerdictName::LeakLikely, "1 stack loses memory steadily, 3.52 GiB/h"),
        (
            "two leaks",
            Run { live: &|at| vec![at * MIB, at * 500], ..leaking() },
            VerdictName::LeakLikely,
            "2 stacks lose",
        ),
        ("two snapshots", Run { snapshots: 2, ..leaking() }, VerdictName::Inconclusive, "too few"),
        (
            "three snapshots",
            Run { snapshots: 3, ..leaking() },
            VerdictName::GrowthUnexplained,
            "too short to be sure",
        ),
        ("gap", Run { event: Some(EventKind::Gap), ..leaking() }, VerdictName::Inconclusive, "not watched"),
        (
            "bad ledger",
            Run { ledger: &[("blocksFull", 5000)], ..leaking() },
            VerdictName::Inconclusive,
            "were lost",
        ),
        (
            "nothing seen",
            Run { live: &|_| vec![0], anonymous: &|_| 10 * MIB, ..leaking() },
            VerdictName::Inconclusive,
            "No allocation",
        ),
        (
            "queue",
            Run { stays: false, churn: MIB, ..leaking() },
            VerdictName::LeakLikely,
            "a queue that falls behind",
        ),
        ("steady", steady(), VerdictName::NoLeakObserved, "No stack loses memory: 2 level or freed"),
        (
            "out of memory",
            Run { event: Some(EventKind::OutOfMemory), ..leaking() },
            VerdictName::LeakLikely,
            "killed",
        ),
        (
            "retention",
            Run {
                live: &|at| vec![if at < 5 { at * 20 * MIB } else { MIB }],
                anonymous: &|at| (10 + at.min(4) * 20) * MIB,
                ..steady()
            },
            VerdictName::AllocatorRetention,
            "dirty_decay_ms",
        ),
        (
            "off heap",
            Run { anonymous: &|at| (20 + at * 5) * MIB, churn: 1000, ..steady() },
            VerdictName::OffHeapGrowth,
            "past the watched allocators",
        ),
        (
            "a small leak beside a large growth off heap",
            Run { live: &|at| vec![at * 1000], anonymous: &|at| (20 + at * 5) * MIB, ..leaking() },
            VerdictName::OffHeapGrowth,
            "Beside that",
        ),
        (
            "jumps",
            Run {
                snapshots: 20,
                live: &|at| vec![at / 5 * MIB + 1000],
                anonymous: &|at| (10 + at / 5) * MIB,
                ..leaking()
            },
            VerdictName::GrowthUnexplained,
            "in 4 jumps",
        ),
        (
            "a full cache that turns over",
            Run { anonymous: &|_| 50 * MIB, ledger: &[("unmatchedFrees", 1049)], ..leaking() },
            VerdictName::Inconclusive,
            "turns over",
        ),
        ("log", Run { header: text_log, ..leaking() }, VerdictName::LeakLikely, "text log"),
    ];
    assert_verdicts(cases);
}

#[test]
fn modes_that_see_less_say_less() {
    let growth = Header { mode: Mode::Growth, ..heap() };
    let kernel = Header { mode: Mode::Kernel, ..heap() };
    assert_verdicts([
        (
            "growth mode",
            Run { header: growth.clone(), ..leaking() },
            VerdictName::GrowthUnexplained,
            "1 stack makes the program larger, 3.52 GiB/h",
        ),
        (
            "growth mode, whose limits are told",
            Run { header: growth.clone(), ..leaking() },
            VerdictName::GrowthUnexplained,
            "not blocks freed within them",
        ),
        (
            "growth mode, level",
            Run { header: growth, anonymous: &|_| 20 * MIB, ..steady() },
            VerdictName::NoLeakObserved,
            "room in memory which the program has already",
        ),
        (
            "kernel mode does not compare with the program's memory",
            Run { header: kernel.clone(), anonymous: &|at| at * 50 * MIB, ..leaking() },
            VerdictName::LeakLikely,
            "page cache",
        ),
        (
            "kernel mode, a short look with losses",
            Run { header: kernel.clone(), ledger: &[("walksBusy", 30)], ..leaking() },
            VerdictName::GrowthUnexplained,
            "less than half sure",
        ),
        (
            "kernel mode, a queue",
            Run { header: kernel, stays: false, churn: MIB, ..leaking() },
            VerdictName::GrowthUnexplained,
            "a queue that falls behind",
        ),
    ]);
}

type Expected<'a> = (&'a str, Run<'a>, VerdictName, &'a str);

fn assert_verdicts<'a>(cases: impl IntoIterator<Item = Expected<'a>>) {
    for (name, run, expected, reason) in cases {
        let verdict = run.analyzed().verdict;
        let reasons = verdict.reasons.join(" ");
        assert_eq!(verdict.name, expected, "{name}: {reasons}");
        assert!(reasons.contains(reason), "{name}: {reasons}");
        assert_eq!(verdict.confidence_percent == 0, expected == VerdictName::Inconclusive, "{name}");
    }
}

#[test]
fn losses_lower_the_confidence() {
    let sure = leaking().analyzed().verdict.confidence_percent;
    let lossy = Run { ledger: &[("walksBusy", 30)], ..leaking() }.analyzed().verdict;
    assert_eq!(lossy.name, VerdictName::LeakLikely);
    assert!(lossy.confidence_percent + 10 < sure, "{} and {sure}", lossy.confidence_percent);
    assert!(lossy.reasons.iter().any(|reason| reason.contains("allocations were lost")));
}

#[test]
fn the_verdict_does_not_change_with_how_much_is_shown() {
    let run = Run { live: &|at| vec![at * MIB, at * 500, 77], ..leaking() };
    let all = run.analyzed();
    assert_eq!(all.findings.iter().map(|finding| finding.rank).collect::<Vec<_>>(), [1, 2, 3]);
    let classes: Vec<Class> = all.findings.iter().map(|finding| finding.class).collect();
    assert_eq!(classes, [Class::Leak, Class::Leak, Class::Plateau]);
}

#[test]
fn the_limit_is_as_far_as_the_leak_is_slow() {
    let target = Target { memory_limit_bytes: Some(83 * MIB), ..Target::default() };
    let limited = Run { header: Header { target, ..heap() }, ..leaking() }.analyzed();
    assert_eq!(limited.verdict.seconds_to_limit, Some(60.0), "23 MiB resident, 1 MiB more each second");
    assert_eq!(leaking().analyzed().verdict.seconds_to_limit, None);
}

#[test]
fn a_sample_that_shows_nothing_says_what_it_would_have_missed() {
    let settings = Settings { sample_period_bytes: 512 << 10, ..steady().header.settings };
    let run = Run { header: Header { settings, ..steady().header }, ..steady() };
    let verdict = run.analyzed().verdict;
    assert_eq!(verdict.name, VerdictName::NoLeakObserved, "{verdict:?}");
    let missed =
        |reason: &String| reason.contains("less than about 5.00 MiB") && reason.contains("finer sample");
    assert!(verdict.reasons.iter().any(missed), "{:?}", verdict.reasons);
}

#[test]
fn a_program_that_takes_no_page_does_not_grow_as_far_as_growth_mode_can_see() {
    let idle = || Run {
        header: Header { mode: Mode::Growth, ..Header::default() },
        live: &|_| Vec::new(),
        anonymous: &|_| 10 * MIB,
        ..leaking()
    };
    let verdict = idle().analyzed().verdict;
    assert_eq!((verdict.name, verdict.confidence_percent), (VerdictName::NoLeakObserved, 70));
    assert!(verdict.reasons[0].contains("not one page of memory in 12 s"), "{:?}", verdict.reasons);
    assert!(verdict.reasons[1].contains("finds room in memory"), "{:?}", verdict.reasons);
    assert!(verdict.reasons[2].starts_with("Growth mode sees pages"), "{:?}", verdict.reasons);
    let not_known: [(&str, Run<'_>); 3] = [
        ("too few snapshots", Run { snapshots: 5, ..idle() }),
        ("a process that was not followed", Run { ledger: &[("processesLeftOut", 1)], ..idle() }),
        ("heap mode: by an allocator of its own, perhaps", Run { header: heap(), ..idle() }),
    ];
    for (name, run) in not_known {
        let verdict = run.analyzed().verdict;
        assert_eq!(verdict.name, VerdictName::Inconclusive, "{name}: {:?}", verdict.reasons);
        let of_pages = run.header.mode == Mode::Growth;
        assert_eq!(verdict.reasons[0].contains("took no page"), of_pages, "{name}: {:?}", verdict.reasons);
    }
}

#[test]
fn an_early_end_is_said_with_what_is_known_of_it() {
    let said = |launched: bool, ended_with: Option<&str>, reason: &str| {
        let target = Target { launched, ..Target::default() };
        let settings = Settings { duration_ns: 60 * SECOND, ..Settings::default() };
        let mut recording = Recording::new(Header { target, settings, ..Header::default() });
        let (reason, ended_with) = (reason.to_owned(), ended_with.map(ToOwned::to_owned));
        recording.push(Record::End(End { time_ns: 4 * SECOND, reason, ended_with, ..End::default() }));
        analyze(&recording, &Options::default()).verdict.reasons.join(" ")
    };
    let early = "ended before the time was over, after 4 s of 60 s";
    assert!(
        said(true, Some("signal SIGSEGV"), "targetExited")
            .contains(&format!("The program {early}, with signal SIGSEGV."))
    );
    assert!(said(false, None, "targetExited").contains(&format!("The target {early}.")));
    assert!(!said(false, None, "duration").contains("ended before"));
}

#[test]
fn who_was_stopped_by_the_budget_is_told_what_helps() {
    let machine = Header { mode: Mode::Kernel, ..Header::default() };
    let target = Target { pids: vec![7], ..Target::default() };
    let pod = Target { pod: Some(Pod::default()), ..Target::default() };
    for (header, helps) in [
        (
            heap(),
            "A larger budget (--budget) goes on, so does a sample (--sample), and growth mode (--mode growth) needs no probes.",
        ),
        (
            Header { target: pod, ..heap() },
            "A larger budget (spec.budget.cpuPercent) goes on, so does a sample (spec.sampling.bytesPerSample), and growth mode (spec.mode: Growth) needs no probes.",
        ),
        (
            machine.clone(),
            "A larger budget (--budget) goes on, and one target (--pid, --container) costs less.",
        ),
        (Header { target, ..machine }, "A larger budget (--budget) goes on."),
        (Header { mode: Mode::Growth, ..Header::default() }, "A larger budget (--budget) goes on."),
    ] {
        let mut recording = Recording::new(header);
        recording.push(Record::Snapshot(Snapshot { time_ns: SECOND, ..Snapshot::default() }));
        recording.push(Record::End(End {
            time_ns: 2 * SECOND,
            reason: "budget".to_owned(),
            ..End::default()
        }));
        let reason = &analyze(&recording, &Options::default()).verdict.reasons[0];
        assert!(
            reason.starts_with("Watching ended after 2 s, as it cost more than its budget: a longer"),
            "{reason}"
        );
        assert!(reason.ends_with(helps), "{reason}");
    }
}

#[test]
fn a_runtime_with_an_allocator_of_its_own_is_sent_to_growth_mode() {
    let python = |start: u64, each: u64| Run {
        live: &|_| vec![20_000],
        anonymous: Box::leak(Box::new(move |at| start * MIB + at * each)),
        stays: false,
        churn: 0,
        ..leaking()
    };
    // five points are taken off as the stack has no description
    for (name, start, each, expected, percent) in [
        ("a small one", 10, MIB, VerdictName::OffHeapGrowth, 75),
        ("a large one", 500, MIB, VerdictName::OffHeapGrowth, 55),
        ("a slow one", 10, MIB / 8, VerdictName::NoLeakObserved, 55),
    ] {
        let verdict = python(start, each).analyzed().verdict;
        assert_eq!(
            (verdict.name, verdict.confidence_percent),
            (expected, percent),
            "{name}: {:?}",
            verdict.reasons
        );
        let told =
            verdict.reasons.iter().any(|reason| reason.contains("Growth mode") && reason.contains("Python"));
        assert!(told, "{name}: {:?}", verdict.reasons);
    }
    let level = python(10, 0).analyzed().verdict;
    assert!(level.reasons.iter().all(|reason| !reason.contains("Growth mode")), "{:?}", level.reasons);
}

#[test]
fn sums_over_hostile_numbers_saturate() {
    let shapes: [&dyn Fn(u64) -> u64; 3] =
        [&|at| at * (u64::MAX / 16), &|at| if at < 2 { 0 } else { u64::MAX - 100 }, &|at| {
            if at < 6 { MIB } else { u64::MAX - 100 }
        }];
    for live in shapes {
        let run = Run { live: &|at| vec![live(at); 3], ..leaking() };
        assert_eq!(run.analyzed().totals.live_bytes, u64::MAX);
    }
}
