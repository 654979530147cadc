//! Who a process is, beyond a number that the kernel gives to another one later.

use std::{io, os::unix::fs::MetadataExt};

use procfs::process::{ProcState, Process, Stat};
use thiserror::Error;

/// A process that existed: its number together with when it began, so that a reused number is never probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// Number in our own pid namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start_ticks: u64,
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
    /// A kernel thread has no user memory.
    #[error(
        "process {pid} ({name}) is a kernel thread and has no memory of its own: use --mode kernel for the kernel's memory"
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
    #[error("cannot look at process {pid}: {source}")]
    Unreadable {
        /// The number asked for.
        pid: u32,
        /// /proc's error.
        source: procfs::ProcError,
    },
}

impl ProcessId {
    /// Looks a process up and refuses those that cannot be followed.
    pub fn find(pid: u32) -> Result<Self, ProcessError> {
        if pid == std::process::id() {
            return Err(ProcessError::Ourselves { pid });
        }
        let stat = stat(pid)?;
        let name = stat.comm.clone();
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
            _ => {} // its program was deleted or is no ELF: the mappings will tell
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

    /// Its command line, or its name in brackets when that is empty.
    pub fn command(self) -> String {
        let arguments =
            Process::new(self.pid.cast_signed()).and_then(|process| process.cmdline()).unwrap_or_default();
        if arguments.is_empty() {
            return stat(self.pid).map_or_else(|_ended| String::new(), |stat| format!("[{}]", stat.comm));
        }
        arguments.join(" ")
    }

    /// Whether a seccomp filter watches its system calls (`Seccomp: 2` in `/proc/PID/status`).
    pub fn has_seccomp_filter(self) -> bool {
        let status = Process::new(self.pid.cast_signed()).and_then(|process| process.status());
        status.is_ok_and(|status| status.seccomp == Some(2))
    }

    /// Device and inode of the program it runs, which exec changes.
    pub fn program(self) -> Option<(u64, u64)> {
        let link = std::fs::metadata(format!("/proc/{}/exe", self.pid)).ok()?;
        Some((link.dev(), link.ino()))
    }
}

/// The processes that descend from one, itself first, as far as they can be followed.
pub fn with_descendants(root: ProcessId) -> Vec<ProcessId> {
    let parents: Vec<(u32, u32)> = procfs::process::all_processes()
        .map(|all| {
            let stats = all.flatten().filter_map(|process| process.stat().ok());
            stats.map(|stat| (stat.pid.cast_unsigned(), stat.ppid.cast_unsigned())).collect()
        })
        .unwrap_or_default();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).map(|id| id.pid) {
        let children = parents.iter().filter(|(_, ppid)| *ppid == parent);
        let children: Vec<ProcessId> = children.filter_map(|(pid, _)| ProcessId::find(*pid).ok()).collect();
        found.extend(children.into_iter().filter(|child| child.pid != root.pid));
        next += 1;
    }
    found
}

pub(crate) fn stat(pid: u32) -> Result<Stat, ProcessError> {
    Process::new(pid.cast_signed()).and_then(|process| process.stat()).map_err(|source| match source {
        procfs::ProcError::NotFound(_) => ProcessError::NoSuchProcess { pid },
        procfs::ProcError::PermissionDenied(_) => ProcessError::Forbidden { pid },
        // a process that ends while its files are read
        procfs::ProcError::Io(ref error, _) if error.raw_os_error() == Some(libc::ESRCH) => {
            ProcessError::NoSuchProcess { pid }
        }
        source => ProcessError::Unreadable { pid, source },
    })
}

/// PF_KTHREAD of the kernel's `include/linux/sched.h`.
fn is_kernel_thread(stat: &Stat) -> bool {
    const PF_KTHREAD: u32 = 0x0020_0000;
    stat.flags & PF_KTHREAD != 0
}

/// EI_CLASS of the program's ELF header: 1 is 32-bit, 2 is 64-bit.
fn elf_class(pid: u32) -> io::Result<u8> {
    use std::io::Read;
    let mut start = [0u8; 5];
    std::fs::File::open(format!("/proc/{pid}/exe"))?.read_exact(&mut start)?;
    if start.starts_with(b"\x7fELF") { Ok(start[4]) } else { Ok(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_followed_is_refused_with_its_reason() {
        assert!(matches!(ProcessId::find(std::process::id()), Err(ProcessError::Ourselves { .. })));
        assert!(matches!(ProcessId::find(u32::MAX >> 2), Err(ProcessError::NoSuchProcess { .. })));
        assert!(matches!(ProcessId::find(2), Err(ProcessError::KernelThread { .. })));
    }

    #[test]
    fn a_reused_number_is_noticed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId::find(child.id()).unwrap();
        assert!(id.is_alive());
        let other = ProcessId { start_ticks: id.start_ticks + 1, ..id };
        assert!(matches!(other.verify(), Err(ProcessError::Reused { .. })));
        child.kill().unwrap();
        // killed and not waited for: a zombie
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !matches!(id.verify(), Err(ProcessError::Zombie { .. })) {
            assert!(std::time::Instant::now() < deadline, "never became a zombie");
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(matches!(id.verify(), Err(ProcessError::NoSuchProcess { .. })));
    }
}
