//! Programs to watch, and what was seen of them.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::AtomicBool,
    time::{Duration, Instant},
};

use leakhound_report::recording::{End, Frame, Record, Recording, StackCounters};
use leakhound_tracer::{
    capabilities::Capabilities,
    investigation::{InvestigationError, Observer, Plan, Subject, investigate},
    launch::Launched,
    rung::Rung,
    settings::Settings,
};

/// Whether probes can be used here. Without: a failure in CI, a loud skip for a person.
pub(crate) fn can_probe() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "CI must run this as root");
        eprintln!("SKIPPED: probing needs root");
    }
    root
}

/// Whether a library is installed: every one is in CI.
pub(crate) fn installed(path: &str) -> bool {
    let there = Path::new(path).exists();
    if !there {
        assert!(std::env::var_os("CI").is_none(), "CI must have {path}");
        eprintln!("SKIPPED: {path} is not installed");
    }
    there
}

/// Compiles a program of `tests/live/programs` and returns its path.
pub(crate) fn compile(compiler: &str, source: &str, name: &str, flags: &[&str]) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/programs").join(source);
    let status =
        Command::new(compiler).arg(source).arg("-o").arg(&program).args(flags).arg("-pthread").status();
    assert!(status.unwrap().success(), "{compiler} {name}");
    program
}

/// Settings for a short look.
pub(crate) fn short(duration: Duration) -> Settings {
    let interval = Duration::from_millis(500);
    let mut settings = Settings { duration, interval, ..Settings::default() };
    settings.capacity.blocks = 200_000;
    settings
}

/// Starts a command and watches it to its end, or for as long as the settings say.
pub(crate) fn watch_command(
    command: &[OsString],
    settings: &Settings,
) -> Result<Recording, InvestigationError> {
    watch(Subject::Launched(Launched::spawn(command, false)?), settings)
}

/// Watches a subject and returns what was recorded.
pub(crate) fn watch(subject: Subject, settings: &Settings) -> Result<Recording, InvestigationError> {
    watch_with(subject, settings, &AtomicBool::new(false), &mut || {})
}

/// The same, with something to do once the probes are on, and a flag that ends it early.
pub(crate) fn watch_with(
    subject: Subject,
    settings: &Settings,
    stop: &AtomicBool,
    when_on: &mut dyn FnMut(),
) -> Result<Recording, InvestigationError> {
    let capabilities = Capabilities::probe(settings.rung.is_some()).with_modes(&[settings.mode]);
    let plan = Plan { settings, capabilities: &capabilities, container: None };
    let mut records = Vec::new();
    let observer = Observer {
        record: &mut |record: &Record| {
            records.push(record.clone());
            Ok(())
        },
        progress: &mut |_| when_on(),
        stop,
    };
    investigate(subject, &plan, observer)?;
    Ok(Recording::from_records(records).unwrap())
}

/// The way of attaching that a test wants.
pub(crate) fn by(rung: Rung, settings: Settings) -> Settings {
    Settings { rung: Some(rung), ..settings }
}

/// Sums over all stacks that go through a function, named with or without the Rust crate that it is in.
pub(crate) fn through(recording: &Recording, function: &str) -> StackCounters {
    let is_it = |name: &str| name.rsplit("::").next() == Some(function);
    let inside = |frames: &[Frame]| frames.iter().any(|frame| frame.function.as_deref().is_some_and(is_it));
    let mut sum = StackCounters::default();
    for stack in recording.stacks.iter().filter(|stack| inside(&stack.frames)) {
        let last =
            recording.snapshots.iter().flat_map(|snapshot| &snapshot.stacks).rfind(|one| one.id == stack.id);
        let last = last.cloned().unwrap_or_default();
        sum.live_bytes += last.live_bytes;
        sum.live_count += last.live_count;
        sum.allocated_bytes += last.allocated_bytes;
        sum.allocated_count += last.allocated_count;
    }
    sum
}

/// An entry of the last ledger.
pub(crate) fn ledger(recording: &Recording, name: &str) -> u64 {
    let last = recording.snapshots.last().expect("a snapshot");
    *last.ledger.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", last.ledger))
}

/// The end record.
pub(crate) fn end(recording: &Recording) -> &End {
    recording.end.as_ref().expect("an end")
}

/// Waits for a condition by name.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 60 s for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process that ends with its test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> Self {
        let child = Command::new(program).args(arguments).stdin(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{}: {error}", program.display())))
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Words of a command.
pub(crate) fn command(program: &Path, arguments: &[&str]) -> Vec<OsString> {
    [program.as_os_str().to_owned()].into_iter().chain(arguments.iter().map(OsString::from)).collect()
}
