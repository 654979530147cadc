//! Small programs that tests compile, run and end.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    maps::{self, MapPath, Mapping},
    process::ProcessId,
};

/// Waits until it is ended.
pub(crate) const PAUSE: &str = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n";

/// Compiles a C program.
pub(crate) fn compile(folder: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let (file, program) = (folder.join("source.c"), folder.join(name));
    fs::write(&file, source).unwrap();
    let status = Command::new("cc").arg(&file).arg("-o").arg(&program).args(flags).status().unwrap();
    assert!(status.success(), "cc {flags:?}");
    program
}

/// A process that ends with its test.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Starts a program and waits until it is that program, with its libraries.
    pub(crate) fn start(program: impl AsRef<OsStr>, arguments: &[&str]) -> Self {
        let mut command = Command::new(program.as_ref());
        let running =
            Self(command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        wait_for("the program to sleep", || running.is_sleeping());
        running
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn id(&self) -> ProcessId {
        ProcessId::find(self.pid()).unwrap()
    }

    /// The executable mapping of a file, by the end of its path.
    pub(crate) fn mapping(&self, end: &str) -> Mapping {
        let mappings = maps::executable(self.id()).unwrap();
        let found = mappings.iter().find(
            |mapping| matches!(&mapping.path, MapPath::File { path, .. } if path.to_string_lossy().ends_with(end)),
        );
        found.unwrap_or_else(|| panic!("no {end} in {mappings:?}")).clone()
    }

    /// Ends it and waits until it is gone.
    pub(crate) fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn is_sleeping(&self) -> bool {
        // pause, nanosleep, wait4, rt_sigsuspend, clock_nanosleep: what no loader calls
        let calls = ["34 ", "35 ", "61 ", "130 ", "230 "];
        let now = fs::read_to_string(format!("/proc/{}/syscall", self.pid())).unwrap_or_default();
        calls.iter().any(|call| now.starts_with(call))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for a condition by name.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 20 s for: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether this test runs as root; in CI it must.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "in CI this test must run as root");
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}
