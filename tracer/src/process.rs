//! Who a process is, beyond a number that the kernel gives to another one later.

mod status;

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
};

use procfs::process::{ProcState, Process, Stat};
use thiserror::Error;

pub(crate) use status::Status;

/// A process that existed: its number together with when it began, so that a reused number is never probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// Number in our own pid namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
}

/// What a process runs; exec changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Of its file.
    pub device: u64,
    /// Of its file.
    pub inode: u64,
    /// Where its stack begins: the kernel draws that anew when a program is started in its own place. Not where address
    /// randomization is off: there, one that starts itself again looks the same.
    pub stack: u64,
}

/// Why a process cannot be followed.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// Nobody has this number.
    #[error("there is no process {pid}: it may have ended; look it up again with `pgrep -a NAME`")]
    NoSuchProcess {
        /// The number asked for.
        pid: u32,
    },
    /// A number that `top -H` or `ps -L` shows.
    #[error("{pid} is a thread of process {process}: use --pid {process}, which follows all its threads")]
    Thread {
        /// The number asked for.
        pid: u32,
        /// The process it belongs to.
        process: u32,
    },
    /// A kernel thread has no user memory.
    #[error(
        "process {pid} ({name}) is a kernel thread and has no memory of its own: name a program of user space"
    )]
    KernelThread {
        /// The number asked for.
        pid: u32,
        /// Its name.
        name: String,
    },
    /// It has ended and waits for its parent.
    #[error(
        "process {pid} ({name}) has ended already: it is a zombie that its parent {parent} has not collected"
    )]
    Zombie {
        /// The number asked for.
        pid: u32,
        /// Its name.
        name: String,
        /// Who should collect it.
        parent: i32,
    },
    /// Probing ourselves would never end.
    #[error("process {pid} is leakhound itself")]
    Ourselves {
        /// The number asked for.
        pid: u32,
    },
    /// Arguments and stacks are read from 64-bit registers.
    #[error("process {pid} ({name}) is a 32-bit program, which cannot be followed: only 64-bit programs can")]
    ThirtyTwoBit {
        /// The number asked for.
        pid: u32,
        /// Its name.
        name: String,
    },
    /// The number belongs to somebody else now.
    #[error("process {pid} has ended, and its number was given to another")]
    Reused {
        /// The number asked for.
        pid: u32,
    },
    /// Not allowed to look at it.
    #[error(
        "process {pid} may not be looked at: run as root, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
    )]
    Forbidden {
        /// The number asked for.
        pid: u32,
    },
    /// Anything else that /proc says.
    #[error("cannot look at process {pid}")]
    Unreadable {
        /// The number asked for.
        pid: u32,
        /// /proc's error.
        source: procfs::ProcError,
    },
}

impl ProcessError {
    /// Whether it only says that the process has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::NoSuchProcess { .. } | Self::Zombie { .. } | Self::Reused { .. })
    }
}

impl ProcessId {
    /// Looks a process up and refuses those that cannot be followed.
    pub fn find(pid: u32) -> Result<Self, ProcessError> {
        let stat = stat(pid)?;
        let name = stat.comm.clone();
        let process = Status::of(pid).ok().and_then(|status| status.number("Tgid")).map(u32::try_from);
        if let Some(Ok(process)) = process {
            if process == std::process::id() {
                return Err(ProcessError::Ourselves { pid });
            }
            if process != pid {
                return Err(ProcessError::Thread { pid, process });
            }
        }
        if matches!(stat.state(), Ok(ProcState::Zombie | ProcState::Dead)) {
            return Err(ProcessError::Zombie { pid, name, parent: stat.ppid });
        }
        if is_kernel_thread(&stat) {
            return Err(ProcessError::KernelThread { pid, name });
        }
        let id = Self { pid, start_ticks: stat.starttime };
        match elf_class(pid) {
            Ok(1) => return Err(ProcessError::ThirtyTwoBit { pid, name }),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(ProcessError::Forbidden { pid });
            }
            _ => {} // no ELF, or ending: the mappings and the next look will tell
        }
        id.verify()?;
        Ok(id)
    }

    /// Still the same process, and not a zombie.
    pub fn verify(self) -> Result<(), ProcessError> {
        let stat = stat(self.pid)?;
        match stat.state() {
            _ if stat.starttime != self.start_ticks => Err(ProcessError::Reused { pid: self.pid }),
            Ok(ProcState::Zombie | ProcState::Dead) => {
                Err(ProcessError::Zombie { pid: self.pid, name: stat.comm, parent: stat.ppid })
            }
            _ => Ok(()),
        }
    }

    /// Whether [`ProcessId::verify`] finds it.
    pub fn is_alive(self) -> bool {
        self.verify().is_ok()
    }

    /// Its command line, cut after 4 KiB; its name in brackets when it has overwritten that; empty when it has ended.
    pub fn command(self) -> String {
        const MOST: u64 = 4096;
        let mut words = Vec::new();
        let read = File::open(format!("/proc/{}/cmdline", self.pid))
            .and_then(|file| file.take(MOST).read_to_end(&mut words));
        let text = String::from_utf8_lossy(&words);
        let words: Vec<&str> = text.split('\0').filter(|word| !word.is_empty()).collect();
        match (read, words.is_empty()) {
            (Ok(_), false) => words.join(" "),
            _ => stat(self.pid).map_or_else(|_ended| String::new(), |stat| format!("[{}]", stat.comm)),
        }
    }

    /// Whether seccomp watches the system calls of any of its threads (`Seccomp` in their status: 1 strict, 2 filter). Each
    /// thread has filters of its own. A thread whose status cannot be read counts as watched: that error endangers nobody.
    pub fn has_seccomp_filter(self) -> bool {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.pid)) else { return true };
        threads.flatten().any(|thread| match Status::read(&thread.path().join("status")) {
            Ok(status) => status.number("Seccomp").is_some_and(|mode| mode != 0),
            Err(error) => !has_ended(&error),
        })
    }

    /// The program it runs; `None` when it has ended.
    pub fn program(self) -> Option<Program> {
        let file = fs::metadata(format!("/proc/{}/exe", self.pid)).ok()?;
        let stack = stat(self.pid).ok()?.startstack;
        Some(Program { device: file.dev(), inode: file.ino(), stack })
    }
}

/// The living processes that descend from one, without itself; those of a parent that has ended are no longer known as such.
pub fn descendants(root: ProcessId) -> Vec<ProcessId> {
    let mut children: HashMap<i32, Vec<ProcessId>> = HashMap::new();
    let all = procfs::process::all_processes().into_iter().flatten().flatten();
    for stat in all.filter_map(|process| process.stat().ok()) {
        let child = ProcessId { pid: stat.pid.cast_unsigned(), start_ticks: stat.starttime };
        children.entry(stat.ppid).or_default().push(child);
    }
    let mut found = children.remove(&root.pid.cast_signed()).unwrap_or_default();
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        found.extend(children.remove(&parent.pid.cast_signed()).unwrap_or_default());
        next += 1;
    }
    found
}

/// Its `/proc/PID/stat`; who cannot be looked at and who is gone are errors of their own.
pub(crate) fn stat(pid: u32) -> Result<Stat, ProcessError> {
    Process::new(pid.cast_signed()).and_then(|process| process.stat()).map_err(|source| match source {
        procfs::ProcError::NotFound(_) => ProcessError::NoSuchProcess { pid },
        procfs::ProcError::PermissionDenied(_) => ProcessError::Forbidden { pid },
        procfs::ProcError::Io(ref error, _) if has_ended(error) => ProcessError::NoSuchProcess { pid },
        source => ProcessError::Unreadable { pid, source },
    })
}

/// What reading a file of `/proc/PID` says when the process ends meanwhile.
fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// PF_KTHREAD of the kernel's `include/linux/sched.h`.
fn is_kernel_thread(stat: &Stat) -> bool {
    const PF_KTHREAD: u32 = 0x0020_0000;
    stat.flags & PF_KTHREAD != 0
}

/// EI_CLASS of the program's ELF header: 1 is 32-bit, 2 is 64-bit.
fn elf_class(pid: u32) -> io::Result<u8> {
    let mut start = [0u8; 5];
    File::open(format!("/proc/{pid}/exe"))?.read_exact(&mut start)?;
    if start.starts_with(b"\x7fELF") { Ok(start[4]) } else { Ok(0) }
}

#[cfg(test)]
mod tests;
