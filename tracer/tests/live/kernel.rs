//! Kernel mode on memory that the kernel holds because a program keeps pipes open.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use leakhound_report::{
    analysis::{Analysis, Class, Finding, Options, VerdictName, analyze},
    recording::{Mode, Recording, Snapshot},
};
use leakhound_tracer::{
    investigation::Subject, launch::Launched, locate::Target, process::ProcessId, sampling::Period,
    settings::Settings,
};

use crate::support::{
    can_probe, command, compile, ledger, short, through, wait_for, watch, watch_command, watch_with,
};

/// The function of the kernel that makes a pipe, on every kernel since 2.6.
const PIPE: &str = "alloc_pipe_info";

fn kernel(duration: Duration) -> Settings {
    Settings { mode: Mode::Kernel, ..short(duration) }
}

fn pipes(name: &str) -> PathBuf {
    compile("cc", "pipes.c", name, &["-g", "-O2"])
}

fn of_pipes(analysis: &Analysis) -> impl Iterator<Item = &Finding> {
    analysis.findings.iter().filter(|finding| finding.frames.iter().any(|frame| frame.function == PIPE))
}

/// Pipes that wait until they are let go.
struct Held(Child);

impl Held {
    fn start(program: &PathBuf, count: u64, pause: u64) -> Self {
        let arguments = [count.to_string(), pause.to_string()];
        Self(Command::new(program).args(arguments).stdin(Stdio::null()).spawn().unwrap())
    }

    fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.0.id())).map_or(0, Iterator::count)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn pipes_kept_open_are_a_leak_with_a_path() {
    if !can_probe() {
        return;
    }
    let words = command(&pipes("pipes_leak"), &["100000", "5"]);
    // on a busy machine it opens few pipes in a snapshot's time, and the snapshots come late
    let recording = watch_command(&words, &kernel(Duration::from_secs(20))).unwrap();
    let analysis = analyze(&recording, &Options::default());
    assert_eq!(analysis.verdict.name, VerdictName::LeakLikely, "{:?}", analysis.verdict);
    let leaks: Vec<&Finding> = of_pipes(&analysis).filter(|finding| finding.class == Class::Leak).collect();
    assert!(!leaks.is_empty(), "{:?}", analysis.findings.iter().take(5).collect::<Vec<_>>());
    let path: Vec<&str> = leaks[0].frames.iter().map(|frame| &*frame.function).collect();
    assert!(path.iter().any(|name| name.ends_with("pipe2")), "{path:?}");
    assert!(path.iter().all(|name| !name.starts_with("bpf_")), "{path:?}");
    assert_eq!(analysis.findings[0].frames.last().unwrap().module, "[kernel]");
}

#[test]
fn once_no_more_pipes_are_opened_it_is_a_plateau() {
    if !can_probe() {
        return;
    }
    const PIPES: u64 = 200;
    let mut settings = kernel(Duration::from_secs(12));
    settings.interval = Duration::from_millis(400);
    let program = pipes("pipes_plateau");
    let words = command(&program, &[&PIPES.to_string(), "1"]);
    let launched = Launched::spawn(&words, false).unwrap();
    let recording = watch(Subject::Launched(launched), &settings).unwrap();
    let analysis = analyze(&recording, &Options::default());
    let classes: Vec<Class> = of_pipes(&analysis).map(|finding| finding.class).collect();
    let settled =
        |class: &Class| matches!(class, Class::Plateau | Class::Step | Class::Saturating | Class::Transient);
    let suspects: Vec<&Finding> = of_pipes(&analysis).filter(|finding| !settled(&finding.class)).collect();
    assert!(!classes.is_empty() && suspects.is_empty(), "{suspects:?}");
    assert_ne!(analysis.verdict.name, VerdictName::LeakLikely, "{:?}", analysis.verdict);
}

#[test]
fn the_whole_machine_is_watched_without_ourselves() {
    if !can_probe() {
        return;
    }
    const PIPES: u64 = 500;
    let program = pipes("pipes_machine");
    let mut held = None;
    let mut seen = 0;
    let stop = AtomicBool::new(false);
    let mut when_on = || {
        let pipes = held.get_or_insert_with(|| Held::start(&program, PIPES, 0));
        seen += u32::from(pipes.open_files() > 2 * 500);
        // two more looks: a snapshot lies between
        stop.store(seen >= 6, Ordering::Relaxed);
    };
    let subject = Subject::Running(Target::Machine);
    let recording = watch_with(subject, &kernel(Duration::from_secs(60)), &stop, &mut when_on).unwrap();
    let made = through(&recording, PIPE);
    assert!(made.live_count >= 2 * PIPES, "{made:?}");
    assert!(recording.header.target.pids.is_empty());
    assert!(ledger(&recording, "ownEvents") > 0);
    assert!(ledger(&recording, "slabPageBytes") > 0, "objects and their pages would be counted twice");
}

#[test]
fn what_is_closed_is_freed_and_others_pipes_do_not_count() {
    if !can_probe() {
        return;
    }
    const PIPES: u64 = 400;
    let program = pipes("pipes_closed");
    let others = Held::start(&program, 100_000, 1);
    wait_for("pipes of somebody else", || others.open_files() > 10);

    let words = command(&program, &[&PIPES.to_string(), "1"]);
    let launched = Launched::spawn(&words, false).unwrap();
    let id = launched.id();
    let mut closed = false;
    let never = AtomicBool::new(false);
    let mut when_on = || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", id.pid)).map_or(0, Iterator::count) as u64;
        if open > 2 * PIPES && !closed {
            closed = true;
            kill(id);
        }
    };
    let settings = kernel(Duration::from_secs(60));
    let recording = watch_with(Subject::Launched(launched), &settings, &never, &mut when_on).unwrap();
    let made = through(&recording, PIPE);
    // two for each, and a few more that the slab allocator takes for itself on the way
    assert!((2 * PIPES..2 * PIPES + 100).contains(&made.allocated_count), "{made:?}");
    // what was put off until after a grace period, and what the slab allocator keeps for itself
    assert!(made.live_count <= 100, "{made:?}");
    assert!(highest(&recording) > 0);
}

fn kill(id: ProcessId) {
    let pid = nix::unistd::Pid::from_raw(id.pid.cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

fn highest(recording: &Recording) -> u64 {
    let live = |snapshot: &Snapshot| snapshot.stacks.iter().map(|stack| stack.live_bytes).sum();
    recording.snapshots.iter().map(live).max().unwrap_or(0)
}

#[test]
fn a_sample_of_the_kernels_allocations_stands_for_all() {
    if !can_probe() {
        return;
    }
    const PIPES: u64 = 3000;
    let program = pipes("pipes_sampled");
    let words = command(&program, &[&PIPES.to_string(), "0"]);
    let of = |sample: Option<u64>| {
        let sample = sample.map(|bytes| Period::at_least(bytes).unwrap());
        let settings = Settings { sample, ..kernel(Duration::from_secs(3)) };
        let recording = watch_command(&words, &settings).unwrap();
        let analysis = analyze(&recording, &Options::default());
        let sums = of_pipes(&analysis).map(|one| (one.live_bytes, one.live_error_bytes.unwrap_or(0)));
        let (live, error) =
            sums.fold((0, 0.0), |(live, error), (more, of)| (live + more, (of as f64).hypot(error)));
        (live as f64, error, recording)
    };
    let (exact, none, _) = of(None);
    assert_eq!(none, 0.0);
    let (estimate, error, recording) = of(Some(16 << 10));
    assert_eq!(recording.header.settings.sample_period_bytes, 16 << 10);
    assert!(ledger(&recording, "unsampledAllocations") > PIPES);
    assert!(error > 0.0 && (estimate - exact).abs() < 6.0 * error, "{estimate} ± {error}, not {exact}");
    assert!(error < exact / 5.0, "{estimate} ± {error} says nothing");
}
