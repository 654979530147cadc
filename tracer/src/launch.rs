//! Starts a program so that probes are on before its first instruction.
//!
//! Flow: exec under ptrace, run to the program's entry point, stop there. By then the dynamic loader has mapped every
//! library, also preloaded ones, and the program itself has not run. [`Launched::go`] lets go of it for good: it is not
//! traced while it is watched.
//!
//! Guarantees: it does not outlive us. Killed before `go` we take it with us, and later it gets SIGTERM, so that a server can
//! put its things in order; what it makes of that is its own affair.
//! Assumes: one thread makes all calls, as ptrace demands ([`Launched`] cannot be sent), and lives as long as the program.
//! Caveats: what the loader and the constructors of libraries allocate is not seen, and threads started by constructors
//! are not stopped. A loader that is run as a program (`ld.so PROGRAM`) stops before it has mapped anything.

mod ending;
mod entry;

use std::{
    ffi::OsString,
    fs,
    io::{self, Read},
    marker::PhantomData,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{
    errno::Errno,
    sys::{
        ptrace,
        signal::{SigSet, Signal},
    },
    unistd::Pid,
};
use rustix::process::{self, getpid, getppid, set_parent_process_death_signal};
use thiserror::Error;

use crate::{
    image::{Image, ImageError},
    process::{ProcessError, ProcessId},
};

/// A program could not be started for watching.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// No command words.
    #[error("no command given")]
    Empty,
    /// exec failed.
    #[error("cannot start {program}{}", hint(program, .source))]
    Start {
        /// As given.
        program: String,
        /// exec's error.
        source: io::Error,
    },
    /// A damaged program, which exec would give to a shell to read as a script.
    #[error(transparent)]
    Damaged(ImageError),
    /// It ended before its own first instruction.
    #[error("{program} ended before it began: {how}")]
    Ended {
        /// As given.
        program: String,
        /// Exit status or signal.
        how: String,
    },
    /// It would have run without the rights that its file gives it.
    #[error(
        "{program} has the set-user-id bit, and would not get its user's rights when it is started under ptrace: run as root, or start it yourself and use --pid"
    )]
    SetId {
        /// As given.
        program: String,
    },
    /// It was to be stopped at its entry point, but ptrace refused.
    #[error("cannot stop {program} at its first instruction: start it yourself and use --pid")]
    Trace {
        /// As given.
        program: String,
        /// ptrace's error.
        source: Errno,
    },
    /// Its entry point could not be found.
    #[error("cannot find the entry point of {program}")]
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

/// Refuses a damaged ELF file. For the rest exec has its own words.
fn require_whole(program: &str) -> Result<(), LaunchError> {
    let mut start = [0; 5];
    let is_program = program.contains('/')
        && fs::File::open(program).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && start == *b"\x7fELF\x02";
    match is_program.then(|| Image::open_path(Path::new(program))) {
        Some(Err(error @ ImageError::Elf { .. })) => Err(LaunchError::Damaged(error)),
        _ => Ok(()),
    }
}

/// What to do about an error of exec, or of what comes before it in the new process.
fn hint(program: &str, error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOENT) if program.contains('/') && Path::new(program).exists() => {
            ": it is there, but the loader or the interpreter that it names is not (file NAME, head -1 NAME)"
        }
        Some(libc::ENOENT) => ": check its name, or give a path such as ./NAME",
        Some(libc::EACCES) => ": it is not executable (chmod +x NAME)",
        Some(libc::ENOEXEC) => ": it is neither a program for this machine nor a script that begins with #!",
        Some(libc::EPERM) => {
            ": ptrace is forbidden here (kernel.yama.ptrace_scope, or a sandbox); start it yourself and use --pid"
        }
        _ => "",
    }
}

/// `exit status 3`, `signal SIGSEGV`.
fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("signal {signal}"),
            Err(_real_time) => format!("signal {number}"),
        },
        (None, None) => status.to_string(),
    }
}

/// A program that we started. Dropping it ends it.
#[derive(Debug)]
pub struct Launched {
    child: Child,
    id: ProcessId,
    at_entry: bool,
    /// Cannot be sent: ptrace answers only the thread that started the program.
    thread: PhantomData<*const ()>,
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
        require_whole(&name)?;
        let failed = |source| LaunchError::Start { program: name.clone(), source };
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().cloned());
        if quiet_output {
            command.stdout(Stdio::from(io::stderr()));
        }
        let mask = SigSet::thread_get_mask().map_err(|errno| failed(errno.into()))?;
        let (held_back, parent) = (entry::held_back(), getpid());
        // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
        #[allow(unsafe_code, reason = "pre_exec runs in the forked child")]
        unsafe {
            command.pre_exec(move || {
                held_back.thread_set_mask()?;
                set_parent_process_death_signal(Some(process::Signal::TERM))?;
                if getppid() != Some(parent) {
                    return Err(io::ErrorKind::Interrupted.into()); // we ended before that was heard
                }
                Ok(ptrace::traceme()?)
            });
        }
        let child = command.spawn().map_err(failed)?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let id = ProcessId { pid: child.id(), start_ticks: 0 };
        let mut launched = Self { child, id, at_entry: true, thread: PhantomData };
        // on an error dropping it ends it
        launched.id = entry::Tracee { pid, program: &name }.run_to_entry(&mask)?;
        Ok(launched)
    }

    /// Who it is.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Lets it run.
    pub fn go(&mut self) -> Result<(), LaunchError> {
        if std::mem::take(&mut self.at_entry) {
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

    /// How it ended, in words; `None` while it runs.
    pub fn ended_with(&mut self) -> io::Result<Option<String>> {
        Ok(self.try_wait()?.map(in_words))
    }

    /// Ends it and its descendants: asks, waits two seconds, insists. We started it, so we may. One that was never let go is
    /// simply ended.
    pub fn stop(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        if std::mem::take(&mut self.at_entry) {
            self.child.kill()?;
        } else {
            ending::end_tree(self.id)?;
        }
        self.child.wait()
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!(pid = self.id.pid, %error, "cannot end the program that was started");
        }
    }
}

#[cfg(test)]
mod tests;
