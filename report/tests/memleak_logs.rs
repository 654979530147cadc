//! Logs of real runs of bcc's `memleak.py` and libbpf-tools' `memleak`, from the text to the verdict.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking")]

use std::{fmt::Write, fs, path::Path};

use leakhound_report::{
    Options,
    analysis::Analysis,
    analyze,
    memleak::read_log,
    recording::{Mode, Recording},
    sniff::{Input, sniff},
};

fn log(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

fn read(name: &str) -> (Recording, Analysis) {
    let log = log(name);
    assert_eq!(sniff(&log), Input::MemleakLog, "{name}");
    let recording = read_log(&log[..]).unwrap();
    let analysis = analyze(&recording, &Options::default());
    (recording, analysis)
}

fn headings(name: &str) -> usize {
    let log = String::from_utf8(log(name)).unwrap();
    log.lines().filter(|line| line.ends_with("stacks with outstanding allocations:")).count()
}

#[test]
fn the_peak_of_a_kernel_log_names_who_asked_for_the_pages() {
    let (recording, analysis) = read("memleak-libbpf-kernel.log");
    assert_eq!(recording.header.mode, Mode::Kernel);
    assert_eq!(analysis.snapshot_count, headings("memleak-libbpf-kernel.log"));
    let part = &analysis.peak.parts[0];
    let finding = analysis.findings.iter().find(|finding| finding.stack_id == part.stack_id).unwrap();
    assert_eq!(finding.frames[0].function, "do_anonymous_page");
    assert!(part.percent > 50.0, "{}", part.percent);
}

#[test]
fn the_growth_of_a_user_log_is_an_alert_for_each_leak() {
    let (_, analysis) = read("memleak-libbpf-user.log");
    let first =
        |stack| analysis.findings.iter().find(|finding| finding.stack_id == stack).unwrap().frames[0].clone();
    let mut alerts: Vec<(String, u64, u64)> = analysis
        .alerts
        .iter()
        .map(|alert| (first(alert.stack_id).function.to_string(), alert.from_bytes, alert.to_bytes))
        .collect();
    alerts.sort();
    let expected = [
        ("first_leak", 151_552, 453_632),
        ("second_leak", 303_104, 907_264),
        ("third_leak", 1_212_416, 3_629_056),
    ];
    assert_eq!(alerts, expected.map(|(name, from, to)| (name.to_owned(), from, to)));
}

/// Every log: whose it is, what was lost, and each stack's live bytes over time.
#[test]
fn every_log_reads_as_it_did() {
    let mut names: Vec<String> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("memleak-") && name.ends_with(".log"))
        .collect();
    names.sort();
    assert!(names.len() >= 13, "{names:?}");
    for name in names {
        let (recording, _) = read(&name);
        assert_eq!(recording.snapshots.len(), headings(&name), "{name}");
        insta::assert_snapshot!(name.trim_end_matches(".log"), outline(&recording));
    }
}

fn outline(recording: &Recording) -> String {
    let mut text = String::new();
    let header = &recording.header;
    let snapshots: Vec<usize> = (0..recording.snapshots.len()).collect();
    let seconds = |nanoseconds: u64| nanoseconds / 1_000_000_000;
    let times: Vec<u64> = recording.snapshots.iter().map(|snapshot| seconds(snapshot.time_ns)).collect();
    let ledger = &recording.snapshots.last().unwrap().ledger;
    writeln!(
        text,
        "{:?} {:?} {:?} {:?}",
        header.source, header.mode, header.target.pids, header.target.command
    )
    .unwrap();
    writeln!(text, "seconds {times:?}, interval {}", seconds(header.settings.interval_ns)).unwrap();
    writeln!(text, "ledger {ledger:?}, skipped {:?}", recording.skipped.iter().collect::<Vec<_>>()).unwrap();
    for history in recording.histories() {
        let live = history.sample(&snapshots, |counters| counters.live_bytes);
        let blocks = history.last().map_or(0, |counters| counters.live_count);
        writeln!(text, "\n{live:?} bytes, {blocks} blocks at the end").unwrap();
        for frame in &history.stack.frames {
            let module = recording.modules.iter().find(|module| Some(module.id) == frame.module);
            let hidden = if frame.allocator { "- " } else { "  " };
            let name = frame.function.clone().unwrap_or_else(|| format!("{:#x}", frame.address));
            writeln!(text, "  {hidden}{name} [{}]", module.map_or("", |module| &module.path)).unwrap();
        }
    }
    text
}
