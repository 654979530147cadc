//! Starts a program so that probes are on before its first instruction.
//!
//! Flow: exec under ptrace, run to the program's entry point, stop there. By then the dynamic loader has mapped every
//! library (also preloaded ones) and the program itself has not run. [`Launched::go`] lets go of it for good.
//!
//! Assumes: every call comes from the thread that called [`Launched::spawn`], as ptrace demands.
//! Caveats: what the dynamic loader allocates for itself is not seen. If we die before `go`, the program simply runs.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        ptrace,
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use thiserror::Error;

use crate::process::{ProcessError, ProcessId};

/// A program could not be started for watching.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// No command words.
    #[error("no command given")]
    Empty,
    /// exec failed.
    #[error("cannot start {program}: {source}{}", hint(.source))]
    Start {
        /// As given.
        program: String,
        /// exec's error.
        source: io::Error,
    },
    /// It ended before its own first instruction.
    #[error("{program} ended before it began: {how}")]
    Ended {
        /// As given.
        program: String,
        /// Exit status or signal.
        how: String,
    },
    /// It was to be stopped at its entry point, but ptrace refused.
    #[error("cannot stop {program} at its first instruction: {source}")]
    Trace {
        /// As given.
        program: String,
        /// ptrace's error.
        source: Errno,
    },
    /// Its entry point could not be found.
    #[error("cannot find the entry point of {program}: {source}")]
    Entry {
        /// As given.
        program: String,
        /// Reading /proc failed.
        source: io::Error,
    },
    /// It cannot be followed.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => ": check its name, or give a path such as ./NAME",
        io::ErrorKind::PermissionDenied => ": it is not executable (chmod +x NAME)",
        _ => "",
    }
}

/// A program that we started.
#[derive(Debug)]
pub struct Launched {
    child: Child,
    id: ProcessId,
    waiting: bool,
}

impl Launched {
    /// Starts a command and stops it at its entry point. With `quiet_output` its standard output goes where our errors
    /// go, because ours carries a result.
    pub fn spawn(command: &[OsString], quiet_output: bool) -> Result<Self, LaunchError> {
        Self::spawn_with(command, quiet_output, &[])
    }

    /// The same, with more in its environment.
    pub fn spawn_with(
        command: &[OsString],
        quiet_output: bool,
        environment: &[(OsString, OsString)],
    ) -> Result<Self, LaunchError> {
        let (program, arguments) = command.split_first().ok_or(LaunchError::Empty)?;
        let name = program.to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().cloned());
        if quiet_output {
            command.stdout(Stdio::from(io::stderr()));
        }
        // SAFETY: between fork and exec only ptrace(2) is called, which is safe there.
        #[allow(unsafe_code, reason = "pre_exec runs in the forked child")]
        unsafe {
            command.pre_exec(|| ptrace::traceme().map_err(io::Error::from));
        }
        let child = command.spawn().map_err(|source| LaunchError::Start { program: name.clone(), source })?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let mut launched = Self { id: ProcessId { pid: child.id(), start_ticks: 0 }, child, waiting: true };
        match run_to_entry(pid, &name) {
            Ok(()) => {
                launched.id = ProcessId::find(launched.id.pid)?;
                Ok(launched)
            }
            Err(error) => Err(error), // dropping `launched` ends it
        }
    }

    /// Who it is.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Lets it run.
    pub fn go(&mut self) -> Result<(), LaunchError> {
        if std::mem::take(&mut self.waiting) {
            let pid = Pid::from_raw(self.id.pid.cast_signed());
            ptrace::detach(pid, None)
                .map_err(|source| LaunchError::Trace { program: format!("process {pid}"), source })?;
        }
        Ok(())
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends it: asks, waits two seconds, insists. We started it, so we may.
    pub fn stop(&mut self) -> io::Result<ExitStatus> {
        const PATIENCE: Duration = Duration::from_secs(2);
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        kill(Pid::from_raw(self.id.pid.cast_signed()), Signal::SIGTERM)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Launched {
    /// A program that never got to run is of use to nobody.
    fn drop(&mut self) {
        if self.waiting
            && let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop))
        {
            tracing::debug!(%error, "cannot end a program that was not let go");
        }
    }
}

/// Puts a breakpoint on the entry point, runs into it, and takes it away again.
fn run_to_entry(pid: Pid, program: &str) -> Result<(), LaunchError> {
    const BREAKPOINT: i64 = 0xcc;
    let trace = |source| LaunchError::Trace { program: program.to_owned(), source };
    wait_for_trap(pid, program)?;
    let entry =
        entry_point(pid).map_err(|source| LaunchError::Entry { program: program.to_owned(), source })?;
    let address = entry as ptrace::AddressType;
    let original = ptrace::read(pid, address).map_err(trace)?;
    ptrace::write(pid, address, original & !0xff | BREAKPOINT).map_err(trace)?;
    ptrace::cont(pid, None).map_err(trace)?;
    wait_for_trap(pid, program)?;
    ptrace::write(pid, address, original).map_err(trace)?;
    let mut registers = ptrace::getregs(pid).map_err(trace)?;
    registers.rip = entry;
    ptrace::setregs(pid, registers).map_err(trace)
}

/// Waits until the process stops for us, passing on signals that were meant for it.
fn wait_for_trap(pid: Pid, program: &str) -> Result<(), LaunchError> {
    let trace = |source| LaunchError::Trace { program: program.to_owned(), source };
    let ended = |how| LaunchError::Ended { program: program.to_owned(), how };
    loop {
        match waitpid(pid, None).map_err(trace)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => return Ok(()),
            WaitStatus::Stopped(_, signal) => ptrace::cont(pid, signal).map_err(trace)?,
            WaitStatus::Exited(_, code) => return Err(ended(ExitStatus::from_raw(code << 8).to_string())),
            WaitStatus::Signaled(_, signal, _) => return Err(ended(format!("signal {signal}"))),
            _ => {}
        }
    }
}

/// AT_ENTRY of the auxiliary vector that the kernel gave it.
fn entry_point(pid: Pid) -> io::Result<u64> {
    const AT_ENTRY: u64 = 9;
    let auxv = fs::read(format!("/proc/{pid}/auxv"))?;
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
    auxv.chunks_exact(16)
        .find(|pair| word(&pair[..8]) == AT_ENTRY)
        .map(|pair| word(&pair[8..]))
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the auxiliary vector has no AT_ENTRY"))
}

#[cfg(test)]
mod tests;
