//! What watching costs: one program that allocates and frees, watched in every way in turn, in one run.
//!
//! Absolute times hold on this machine only, where a trap may be far dearer than elsewhere: the ratios are the result.
//! `ONLY=deep` chooses scenarios by a part of their name, `SECONDS=2` how long each way is measured.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and fails loudly"
)]

mod million;
mod program;
mod ways;

use std::path::Path;

use leakhound_report::recording::{End, Mode};
use leakhound_tracer::{rung::Rung, sampling::Period, settings::Settings};
use program::{Bench, Length, Scenario, compile};
use ways::{with_empty, with_investigation, with_peer};

const SCENARIOS: [Scenario; 5] = [
    Scenario { name: "one thread, 8 calls deep", depth: 8, threads: 1 },
    Scenario { name: "deep stacks: 12 calls", depth: 12, threads: 1 },
    Scenario { name: "deep stacks: 48 calls", depth: 48, threads: 1 },
    Scenario { name: "deep stacks: 90 calls", depth: 90, threads: 1 }, // 96 frames are kept
    Scenario { name: "four threads, 8 calls deep", depth: 8, threads: 4 },
];
const MILLION: &str = "a million live blocks";

fn main() {
    // `cargo test --benches` only wants to know that it builds and starts
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    assert!(rustix::process::geteuid().is_root(), "probing needs root: sudo -E make bench");
    let only = std::env::var("ONLY").unwrap_or_default();
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = compile(temporary, "pairs");
    let length = Length::chosen();
    println!("malloc/free pairs, built without frame pointers; medians of {:?} each", length.0);
    let chosen = |name: &str| name.contains(&only);
    for (number, scenario) in SCENARIOS.into_iter().enumerate().filter(|(_, scenario)| chosen(scenario.name))
    {
        println!("\n{}", scenario.name);
        let bench = Bench::start(&program, scenario, length);
        // how the ways of attaching compare is the same in every scenario
        compare(&bench, &temporary.join("peer"), number == 0);
    }
    if chosen(MILLION) {
        println!("\n{MILLION}");
        million::measure(temporary);
    }
}

fn compare(bench: &Bench, peer: &Path, every_rung: bool) {
    let unprobed = bench.measure();
    let mut rows = vec![("no probe", unprobed)];
    rows.push(("empty probes at the same places", with_empty(bench, Rung::Session)));
    let mut ends = Vec::new();
    let by = |rung| Settings { rung: Some(rung), ..Settings::default() };
    let sampled = Settings { sample: Some(Period::DEFAULT), ..by(Rung::Session) };
    let growth = Settings { mode: Mode::Growth, ..Settings::default() };
    let ways = [
        ("full tracking, uprobe.session", by(Rung::Session), true),
        ("sampled every 512 KiB, uprobe.session", sampled, true),
        ("growth mode, while nothing grows", growth, every_rung),
        ("full tracking, uprobe_multi", by(Rung::Multi), every_rung),
        ("full tracking, perf-event", by(Rung::PerfEvent), every_rung),
    ];
    for (name, settings, _) in ways.into_iter().filter(|(.., wanted)| *wanted) {
        let (cost, end) = with_investigation(bench, &settings);
        rows.push((name, cost));
        ends.push((name, end));
    }
    if let Some(cost) = with_peer(bench, peer, unprobed) {
        rows.push(("memleak (libbpf-tools)", cost));
    }
    rows.push(("no probe, again", bench.measure()));
    print(&rows);
    ends.iter().for_each(|(name, end)| print_end(name, end));
}

fn print(rows: &[(&str, f64)]) {
    let of = |wanted: &str| rows.iter().find(|(name, _)| name.starts_with(wanted)).map(|(_, cost)| *cost);
    let (empty, peer, unprobed) = (of("empty"), of("memleak"), of("no probe"));
    let ratio = |cost: f64, to: Option<f64>| to.map_or_else(|| "-".into(), |to| format!("{:.2}", cost / to));
    println!("{:<50} {:>10} {:>11} {:>11} {:>11}", "", "ns/pair", "x memleak", "x empty", "x no probe");
    for (name, cost) in rows {
        let ratios = [peer, empty, unprobed].map(|to| ratio(*cost, to));
        println!("{name:<50} {cost:>10.1} {:>11} {:>11} {:>11}", ratios[0], ratios[1], ratios[2]);
    }
}

fn print_end(name: &str, end: &End) {
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    let (on, off) = (seconds(end.overhead.attach_ns), seconds(end.overhead.detach_ns));
    let (events, each) = (end.overhead.events, end.overhead.probe_ns);
    println!(
        "{name:<50} attach {on:.3} s  detach {off:.3} s  {events} events, {each:.0} ns each by our own account"
    );
}
