//! Builds the planted programs, runs each under `leakhound run`, and keeps the recordings without paths of this machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::truth::{Build, Case};

const PROGRAMS: &str = "target/examples/corpus";

/// Makes recordings of cases.
pub(crate) struct Recorder {
    leakhound: PathBuf,
    recordings: PathBuf,
    /// Prefixes of paths that are nobody's business: this repository, and the sources of dependencies.
    private: Vec<String>,
}

impl Recorder {
    /// Recordings go to the folder `recordings`, which is made if need be.
    pub(crate) fn new(leakhound: PathBuf, recordings: PathBuf) -> Result<Self> {
        fs::create_dir_all(&recordings).with_context(|| format!("cannot make {}", recordings.display()))?;
        let here = env::current_dir()?;
        let cargo_home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| env::home_dir().map(|home| home.join(".cargo")));
        let private = [Some(here), cargo_home]
            .into_iter()
            .flatten()
            .map(|path| format!("{}/", path.display()))
            .collect();
        Ok(Self { leakhound, recordings, private })
    }

    /// Builds and records all cases, a few at a time. Every case is tried; the first failure is returned.
    pub(crate) fn record(&self, cases: &[Case], jobs: usize) -> Result<()> {
        build(cases)?;
        let queue = Mutex::new(cases.iter());
        let next = || queue.lock().ok()?.next();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs.max(1))
                .map(|_| {
                    scope.spawn(|| {
                        let mut outcome = Ok(());
                        while let Some(case) = next() {
                            let recorded = self.record_one(case);
                            outcome = outcome.and(recorded);
                        }
                        outcome
                    })
                })
                .collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(outcome) => outcome,
                Err(_) => bail!("a worker panicked"),
            })
        })
    }

    #[allow(clippy::print_stderr, reason = "says how far it is: a whole run takes minutes")]
    fn record_one(&self, case: &Case) -> Result<()> {
        let path = path_in(&self.recordings, case);
        let mut program = vec![program_of(case)];
        program.extend(case.args.iter().cloned());
        let preload = (case.build == Build::JemallocPreload).then_some(("LD_PRELOAD", "libjemalloc.so.2"));
        let mut leakhound = Command::new(&self.leakhound);
        leakhound.args(["run", "--quiet", "--interval", "1s", "--duration", &format!("{}s", case.seconds)]);
        leakhound.arg("--recording").arg(&path).stdin(Stdio::null());
        let running = match case.attach {
            Some(age) => Some(Running::start(&program, preload, Duration::from_secs(age))?),
            None => None,
        };
        match &running {
            Some(running) => leakhound.args(["--pid", &running.0.id().to_string()]),
            // The program inherits the environment of the tool.
            None => leakhound.arg("--").args(&program).envs(preload),
        };
        let output = leakhound
            .output()
            .with_context(|| format!("cannot run {}: make build", self.leakhound.display()))?;
        if !output.status.success() {
            bail!("{}: {}: {}", case.name, output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        self.remove_private_paths(&path)?;
        eprintln!("recorded {}", case.name);
        Ok(())
    }

    fn remove_private_paths(&self, path: &Path) -> Result<()> {
        let mut text = String::from_utf8(zstd::decode_all(&*fs::read(path)?)?)?;
        for prefix in &self.private {
            text = text.replace(prefix, "");
        }
        fs::write(path, zstd::encode_all(text.as_bytes(), 19)?)?;
        Ok(())
    }
}

/// A program that runs by itself, and ends with this value.
struct Running(Child);

impl Running {
    /// Starts a program and lets it reach an age, which is part of what is planted.
    fn start(program: &[String], preload: Option<(&str, &str)>, age: Duration) -> Result<Self> {
        let child = Command::new(&program[0]).args(&program[1..]).envs(preload).stdin(Stdio::null()).spawn();
        let running = Self(child.with_context(|| format!("cannot run {}", program[0]))?);
        thread::sleep(age);
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended before, which is as good.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Where the recording of a case lies.
pub(crate) fn path_in(recordings: &Path, case: &Case) -> PathBuf {
    recordings.join(format!("{}.lhr", case.name))
}

fn program_of(case: &Case) -> String {
    let folder = match case.build {
        Build::Glibc | Build::JemallocPreload => "glibc",
        Build::Musl => "musl",
        Build::MuslStatic => "musl-static",
        Build::Jemalloc => "jemalloc",
        Build::Rust => "rust",
        Build::RustJemalloc => "rust-jemalloc",
    };
    format!("{PROGRAMS}/{folder}/{}", case.program)
}

fn build(cases: &[Case]) -> Result<()> {
    let here = env::current_dir()?;
    let absolute = |path: &str| here.join(path).display().to_string();
    let mut targets: Vec<_> = cases.iter().map(|case| absolute(&program_of(case))).collect();
    targets.sort_unstable();
    targets.dedup();
    let status = Command::new("make")
        .args(["--silent", "--directory", "examples/corpus"])
        .arg(format!("OUT={}", absolute(PROGRAMS)))
        .args(targets)
        .status()
        .context("cannot run make")?;
    if status.success() { Ok(()) } else { bail!("the planted programs do not build: see above") }
}
