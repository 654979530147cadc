//! What tests of the command share.
#![allow(dead_code, reason = "no test needs all of it")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

/// The program.
pub(crate) const LEAKHOUND: &str = env!("CARGO_BIN_EXE_leakhound");

/// Whether probes can be used here. Without: a failure in CI, a loud skip for a person.
pub(crate) fn can_probe() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "CI must run this as root");
        eprintln!("SKIPPED: probing needs root");
    }
    root
}

/// Runs it to its end.
pub(crate) fn leakhound(arguments: &[&str]) -> Output {
    Command::new(LEAKHOUND).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A program with three leaks.
pub(crate) fn seed() -> PathBuf {
    // Once: the file of a program that runs must not be replaced, its process would be of a deleted one.
    static SEED: LazyLock<PathBuf> = LazyLock::new(|| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seed");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/seed.c");
        let _ = fs::remove_file(&program);
        let mut compile = Command::new("cc");
        compile.args(["-g", "-O2", "-o"]).arg(&program).arg(source);
        assert!(compile.status().unwrap().success());
        program
    });
    SEED.clone()
}

/// A process that ends with its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program.
pub(crate) fn start(program: &str, arguments: &[&str]) -> Running {
    let child = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    Running(child.unwrap())
}

/// Waits for a condition by name.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited 60 s for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
