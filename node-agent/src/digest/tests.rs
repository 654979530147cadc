use leakhound_crds::{Verdict, digest::MAX_BYTES};
use leakhound_report::recording::{
    Allocator, Cohort, End, Frame as RawFrame, Header, Module, Overhead as Cost, Record, Snapshot, Stack,
    StackCounters, Target,
};
use proptest::prelude::*;

use super::*;

const MINUTE_NS: u64 = 60_000_000_000;

fn stack(id: u32, function: &str, depth: usize) -> Record {
    let frame = |number: u32| RawFrame {
        function: Some(function.to_owned()),
        module: Some(1),
        file: Some("src/app.c".into()),
        line: Some(10 + number),
        address: 0x1000 + u64::from(number),
        ..RawFrame::default()
    };
    let frames = (0..u32::try_from(depth).unwrap()).map(frame).collect();
    Record::Stack(Stack { id, frames, cut_short: None })
}

/// Twenty snapshots of stacks that lose this much a minute, and of one that gives everything back.
fn recording(functions: &[(&str, u64)], depth: usize) -> Recording {
    let mut records = vec![
        Record::Header(Header {
            target: Target { pids: vec![7], command: "/app/server -v".into(), ..Target::default() },
            allocators: vec![Allocator { family: "glibc".into(), ..Allocator::default() }],
            ..Header::default()
        }),
        Record::Module(Module { id: 1, path: "/app/server".into(), build_id: Some("ab12".into()) }),
    ];
    let numbered = || functions.iter().zip(1_u32..);
    records.extend(numbered().map(|((function, _), id)| stack(id, function, depth)));
    for minute in 1..=20 {
        let counters = numbered().map(|((_, each_minute), id)| {
            let allocated_bytes = minute * each_minute.max(&4096);
            let live_bytes = minute * each_minute;
            StackCounters {
                id,
                live_bytes,
                live_count: live_bytes / 64,
                live_error_bytes: 0,
                allocated_bytes,
                allocated_count: allocated_bytes / 64,
                missed_frees: 0,
                cohorts: vec![Cohort { number: 0, allocated_bytes, live_bytes }],
            }
        });
        records.push(Record::Snapshot(Snapshot {
            time_ns: minute * MINUTE_NS,
            stacks: counters.collect(),
            ledger: BTreeMap::from([
                ("allocations".to_owned(), minute * 100),
                ("frees".to_owned(), minute * 10),
                ("blocksFull".to_owned(), 3),
                ("stacksFull".to_owned(), 0),
            ]),
            ..Snapshot::default()
        }));
    }
    Recording::from_records(records).unwrap()
}

#[test]
fn the_digest_tells_what_leaks_and_not_what_is_given_back() {
    let recording = recording(&[("lose", 100_000), ("serve", 0), ("drip", 2_000)], 3);
    let mut seen = Seen { programs: BTreeMap::from([(7, "/app/server".into())]), ..Seen::default() };
    seen.memory.note(Some(container::Memory { used: 1000, limit: Some(9000), oom_kills: 1 }));
    seen.memory.note(Some(container::Memory { used: 5000, limit: Some(9000), oom_kills: 3 }));
    seen.memory.note(None);
    (seen.share_of_core, seen.sample_period) = (0.0125, Some(32 << 10));
    let digest = digest(&recording, &seen);
    let functions: Vec<&str> =
        digest.findings.iter().map(|finding| finding.frames[0].function.as_str()).collect();
    assert_eq!(functions, ["lose", "drip"], "{digest:#?}");
    let first = &digest.findings[0];
    assert_eq!((first.rank, first.outstanding_bytes, first.frames[0].line), (1, 2_000_000, Some(10)));
    assert_eq!(first.frames[0].module, "server");
    assert!((5_900_000..6_100_000).contains(&first.growth_bytes_per_hour), "{first:?}");
    assert_eq!(digest.live_bytes, 2_040_000);
    assert_eq!(digest.losses, BTreeMap::from([("blocksFull".to_owned(), 3)]));
    assert_eq!((digest.events, digest.snapshot_count, digest.overhead.dropped), (2200, 20, 3));
    assert_eq!((digest.overhead.cpu_permille, digest.overhead.bytes_per_sample), (13, Some(32 << 10)));
    let memory = &digest.memory;
    assert_eq!((memory.start_bytes, memory.end_bytes), (Some(1000), Some(5000)));
    assert_eq!((memory.limit_bytes, memory.oom_kills), (Some(9000), Some(2)));
    let process = &digest.processes[0];
    assert_eq!((process.pid, process.exe.as_str()), (7, "/app/server"));
    assert_eq!((process.build_id.as_deref(), process.allocator.as_deref()), (Some("ab12"), Some("glibc")));
}

#[test]
fn losses_are_what_the_reports_page_calls_so() {
    let page = include_str!("../../../report/web/src/ledger.ts");
    let mut counts: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_once(": count(").map(|(key, _)| key))
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, PLAIN);
}

#[test]
fn what_watching_cost_is_an_average_once_it_is_over() {
    let mut recording = recording(&[("lose", 100_000)], 1);
    let seen = Seen { share_of_core: 0.5, ..Seen::default() };
    assert_eq!(digest(&recording, &seen).overhead.cpu_permille, 500);
    // 20 minutes of 1,000 calls a second, 20 us each
    let overhead = Cost { events: 1_200_000, probe_ns: 20_000.0, ..Default::default() };
    recording.end = Some(End { time_ns: 20 * MINUTE_NS, overhead, ..End::default() });
    assert_eq!(digest(&recording, &seen).overhead.cpu_permille, 20);
}

#[test]
fn a_stack_has_the_same_name_in_every_run() {
    let id = |functions: &[(&str, u64)], at: usize| {
        let all = digest(&recording(functions, 2), &Seen::default()).findings;
        (all[at].stack_id.clone(), all[at].frames[0].function.clone())
    };
    let (alone, _) = id(&[("lose", 100_000)], 0);
    assert_eq!(alone.len(), 16);
    assert_eq!(id(&[("drip", 2_000), ("lose", 100_000)], 0), (alone, "lose".to_owned()));
}

#[test]
fn five_are_told_and_the_rest_is_counted() {
    let names: Vec<String> = (0..9).map(|number| format!("lose{number}")).collect();
    let functions: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 100_000)).collect();
    let digest = digest(&recording(&functions, 2), &Seen::default());
    assert_eq!((digest.findings.len(), digest.findings_omitted), (5, 4));
}

#[test]
fn nothing_seen_is_a_digest_too() {
    let digest = digest(&Recording::default(), &Seen::default());
    assert_eq!((digest.verdict, digest.snapshot_count, digest.live_bytes), (Verdict::Inconclusive, 0, 0));
    assert!(digest.to_text().is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Names come from the target, which may be hostile.
    #[test]
    fn whatever_a_program_is_called_the_text_fits(name in "\\PC{0,400}", count in 0..12_usize, depth in 0..60_usize) {
        let functions = vec![(name.as_str(), 100_000); count];
        let text = digest(&recording(&functions, depth), &Seen::default()).to_text().unwrap();
        prop_assert!(text.len() <= MAX_BYTES);
        prop_assert!(Digest::parse(&text).is_ok());
    }

    #[test]
    fn integers_stay_exact_for_every_client(number in any::<f64>(), size in any::<u64>()) {
        prop_assert!(rounded(number).abs() <= LARGEST);
        prop_assert!((0..=LARGEST).contains(&whole(size)));
    }
}
