//! What watching costs: one program that allocates and frees, watched in every way in turn, in one run.
//!
//! Absolute times hold on this machine only, where a trap may be far dearer than elsewhere: the ratios are the result.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and fails loudly"
)]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

use leakhound_ebpf::{PROBE, abi::ProcessNumber};
use leakhound_report::recording::{End, Record};
use leakhound_tracer::{
    attachment::ProcessProbes,
    bpf::Object,
    capabilities::Capabilities,
    followed::Followed,
    investigation::{Observer, Plan, Subject, investigate},
    locate::Target,
    modules::Modules,
    process::ProcessId,
    rung::{EMPTY, Probes, Rung},
    settings::Settings,
};

/// How long each way is measured, after as long a warm-up of a fifth.
const MEASURED: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(1);

fn main() {
    // `cargo test --benches` only wants to know that it builds and starts
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    assert!(rustix::process::geteuid().is_root(), "probing needs root: sudo -E make bench");
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = compile(temporary);
    let bench = Bench::start(&program);
    println!("malloc/free pairs, 8 calls deep, built without frame pointers; medians of {MEASURED:?} each\n");

    let mut rows = vec![("no probe", bench.measure())];
    rows.push(("empty probes at the same places, uprobe.session", with_empty(&bench, Rung::Session)));
    let mut ends = Vec::new();
    for (name, rung) in [
        ("full tracking, uprobe.session", Rung::Session),
        ("full tracking, uprobe_multi", Rung::Multi),
        ("full tracking, perf-event", Rung::PerfEvent),
    ] {
        let (cost, end) = with_investigation(&bench, rung);
        rows.push((name, cost));
        ends.push((rung, end));
    }
    if let Some(cost) = with_peer(&bench, &temporary.join("peer")) {
        rows.push(("memleak (libbpf-tools)", cost));
    }
    rows.push(("no probe, again", bench.measure()));
    print(&rows);
    println!();
    for (rung, end) in ends {
        let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
        let (on, off) = (seconds(end.overhead.attach_ns), seconds(end.overhead.detach_ns));
        println!("{:<16} attach {on:.3} s  detach {off:.3} s  {} events", rung.name(), end.overhead.events);
    }
}

fn print(rows: &[(&str, f64)]) {
    let of = |wanted: &str| rows.iter().find(|(name, _)| name.starts_with(wanted)).map(|(_, cost)| *cost);
    let (empty, peer) = (of("empty"), of("memleak"));
    let ratio = |cost: f64, to: Option<f64>| to.map_or_else(|| "-".into(), |to| format!("{:.2}", cost / to));
    println!("{:<50} {:>10} {:>11} {:>11}", "", "ns/pair", "x memleak", "x empty");
    for (name, cost) in rows {
        println!("{name:<50} {cost:>10.1} {:>11} {:>11}", ratio(*cost, peer), ratio(*cost, empty));
    }
}

fn compile(folder: &Path) -> PathBuf {
    let program = folder.join("pairs");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pairs.c");
    let status = Command::new("cc").args(["-O2", "-o"]).arg(&program).arg(source).status().unwrap();
    assert!(status.success());
    program
}

/// The measured program; it ends with this value.
struct Bench {
    child: Child,
    costs: Receiver<f64>,
}

impl Bench {
    fn start(program: &Path) -> Self {
        let mut child = Command::new("taskset")
            .args(["-c", "1"])
            .arg(program)
            .args(["5000", "8"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("taskset of util-linux is installed");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, costs) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if send.send(line.parse().unwrap_or(f64::NAN)).is_err() {
                    return;
                }
            }
        });
        let bench = Self { child, costs };
        bench.costs.recv_timeout(Duration::from_secs(10)).expect("the program runs");
        bench
    }

    fn id(&self) -> ProcessId {
        ProcessId::find(self.child.id()).unwrap()
    }

    /// Median cost of a pair from now on.
    fn measure(&self) -> f64 {
        let warm = Instant::now() + WARM_UP;
        while Instant::now() < warm {
            self.costs.recv().unwrap();
        }
        let end = Instant::now() + MEASURED;
        let mut costs = Vec::new();
        while Instant::now() < end {
            costs.push(self.costs.recv().unwrap());
        }
        costs.sort_by(f64::total_cmp);
        costs[costs.len() / 2]
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn with_empty(bench: &Bench, rung: Rung) -> f64 {
    let mut modules = Modules::new(Vec::new());
    let mut process = Followed::new(bench.id(), ProcessNumber::default());
    let numbers = process.remap(&mut modules).unwrap().unwrap();
    let files: Vec<_> = numbers.into_iter().filter_map(|number| modules.sites(number)).collect();
    let mut object = Object::load(PROBE, &[], &[]).unwrap();
    let probes = Probes::load(&mut object, EMPTY, rung).unwrap();
    let mut attached = ProcessProbes::default();
    attached.attach(&probes, &mut object, &files, bench.child.id(), ProcessNumber::default()).unwrap();
    bench.measure()
}

fn with_investigation(bench: &Bench, rung: Rung) -> (f64, End) {
    let settings = Settings { rung: Some(rung), duration: Duration::from_secs(3600), ..Settings::default() };
    let capabilities = Capabilities::probe(true);
    let plan = Plan { settings: &settings, capabilities: &capabilities, container: None };
    let stop = AtomicBool::new(false);
    let id = bench.id();
    let mut end = End::default();
    let cost = std::thread::scope(|scope| {
        let (on, wait_until_on) = channel();
        let (stop, plan, end) = (&stop, &plan, &mut end);
        scope.spawn(move || {
            let observer = Observer {
                record: &mut |record: &Record| {
                    if let Record::End(record) = record {
                        *end = record.clone();
                    }
                    Ok(())
                },
                progress: &mut |_| {
                    let _ = on.send(());
                },
                stop,
            };
            let subject = Subject::Running(Target::Process(id));
            investigate(subject, plan, observer).unwrap();
        });
        wait_until_on.recv().expect("probes go on");
        let cost = bench.measure();
        stop.store(true, Ordering::Relaxed);
        cost
    });
    (cost, end)
}

/// The peer, run as its users do; `None`, with the reason, when it cannot be had.
fn with_peer(bench: &Bench, folder: &Path) -> Option<f64> {
    let fetch = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/get-peer.sh");
    if !Command::new(fetch).arg(folder).status().is_ok_and(|status| status.success()) {
        println!("memleak is left out: it could not be fetched");
        return None;
    }
    let mut peer = Command::new(folder.join("memleak"))
        .args(["-p", &bench.child.id().to_string(), "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(peer.stdout.take()?).lines();
    let tracing = lines.by_ref().map_while(Result::ok).any(|line| line.contains("Tracing outstanding"));
    let drain = std::thread::spawn(move || lines.map_while(Result::ok).count());
    let cost = tracing.then(|| bench.measure());
    let _ = Command::new("kill").arg(peer.id().to_string()).status();
    let _ = peer.wait();
    let _ = drain.join();
    cost
}
