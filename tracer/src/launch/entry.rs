//! From exec to the entry point: the dynamic loader runs, the program does not yet.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, AddressType, Options},
        signal::{SigSet, Signal},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::Pid,
};

use super::LaunchError;
use crate::process::{ProcessId, Status};

/// The signals that wait while a program is made: one that stopped it before exec would stop us too, who wait for exec.
/// SIGTRAP is how exec itself reports.
pub(super) fn held_back() -> SigSet {
    let mut signals = SigSet::all();
    signals.remove(Signal::SIGTRAP);
    signals
}

/// A program that has asked to be traced, on its way to its entry point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tracee<'a> {
    pub(super) pid: Pid,
    pub(super) program: &'a str,
}

/// Why it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Exec,
    Signal(Signal),
}

/// What stands at the entry point instead of the program's own first instruction.
#[derive(Debug, Clone, Copy)]
struct Breakpoint {
    entry: u64,
    original: i64,
}

impl Tracee<'_> {
    /// Runs the loader, puts a breakpoint on the entry point, runs into it, and takes it away again. The program begins with
    /// the signals of `mask` blocked.
    ///
    /// Code runs before the entry point: constructors of libraries. They may end the process, run another program in it, or
    /// raise signals, also the breakpoint's.
    pub(super) fn run_to_entry(self, mask: &SigSet) -> Result<ProcessId, LaunchError> {
        self.next_stop()?; // exec, by SIGTRAP as long as no option says otherwise
        // if we are killed now, nobody would take the breakpoint away
        let options = Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACEEXEC;
        ptrace::setoptions(self.pid, options)
            .and_then(|()| set_mask(self.pid, mask))
            .map_err(|source| self.refused(source))?;
        let (mut id, mut breakpoint) = self.begin_program()?;
        let mut signal = None;
        loop {
            ptrace::cont(self.pid, signal.take()).map_err(|source| self.refused(source))?;
            match self.next_stop()? {
                Stop::Exec => (id, breakpoint) = self.begin_program()?,
                Stop::Signal(Signal::SIGTRAP)
                    if breakpoint.remove_if_hit(self.pid).map_err(|source| self.refused(source))? =>
                {
                    return Ok(id);
                }
                Stop::Signal(other) => signal = Some(other),
            }
        }
    }

    /// Checks a program just loaded, and puts the breakpoint on its entry point.
    fn begin_program(self) -> Result<(ProcessId, Breakpoint), LaunchError> {
        let pid = self.pid.as_raw().cast_unsigned();
        if has_lost_rights(pid) {
            return Err(LaunchError::SetId { program: self.program.to_owned() });
        }
        let id = ProcessId::find(pid)?;
        let entry = fs::read(format!("/proc/{pid}/auxv"))
            .and_then(|auxv| entry_point(&auxv))
            .map_err(|source| LaunchError::Entry { program: self.program.to_owned(), source })?;
        let breakpoint = Breakpoint::set(self.pid, entry).map_err(|source| self.refused(source))?;
        Ok((id, breakpoint))
    }

    /// Waits for its next stop. When it ends instead, its status stays for [`std::process::Child`] to collect: a process
    /// collected here would leave a number there that may be somebody else's.
    fn next_stop(self) -> Result<Stop, LaunchError> {
        let ended = |how| LaunchError::Ended { program: self.program.to_owned(), how };
        let peek = WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::Pid(self.pid), peek) {
                Ok(WaitStatus::Exited(_, code)) => return Err(ended(format!("exit status {code}"))),
                Ok(WaitStatus::Signaled(_, signal, _)) => return Err(ended(format!("signal {signal}"))),
                Err(Errno::EINTR) => continue,
                _ => {}
            }
            match waitpid(self.pid, None) {
                Ok(WaitStatus::Stopped(_, signal)) => return Ok(Stop::Signal(signal)),
                Ok(WaitStatus::PtraceEvent(..)) => return Ok(Stop::Exec), // the only event asked for
                Ok(_) | Err(Errno::EINTR) => {}
                Err(source) => return Err(self.refused(source)),
            }
        }
    }

    fn refused(self, source: Errno) -> LaunchError {
        LaunchError::Trace { program: self.program.to_owned(), source }
    }
}

impl Breakpoint {
    /// `int3`.
    const INSTRUCTION: i64 = 0xcc;

    fn set(pid: Pid, entry: u64) -> Result<Self, Errno> {
        let original = ptrace::read(pid, entry as AddressType)?;
        ptrace::write(pid, entry as AddressType, original & !0xff | Self::INSTRUCTION)?;
        Ok(Self { entry, original })
    }

    /// Takes it away and steps back before it, if that is what the program has run into.
    fn remove_if_hit(self, pid: Pid) -> Result<bool, Errno> {
        let mut registers = ptrace::getregs(pid)?;
        if registers.rip != self.entry + 1 {
            return Ok(false);
        }
        ptrace::write(pid, self.entry as AddressType, self.original)?;
        registers.rip = self.entry;
        ptrace::setregs(pid, registers)?;
        Ok(true)
    }
}

/// Sets the blocked signals of a stopped process.
fn set_mask(pid: Pid, mask: &SigSet) -> Result<(), Errno> {
    const KERNEL_SIGSET_BYTES: usize = 8;
    // SAFETY: reads the first 8 bytes of a sigset_t, which is longer and begins with the kernel's, and writes nothing of ours.
    #[allow(unsafe_code, reason = "nix has no PTRACE_SETSIGMASK")]
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_SETSIGMASK,
            pid.as_raw(),
            KERNEL_SIGSET_BYTES,
            std::ptr::from_ref::<libc::sigset_t>(mask.as_ref()),
        )
    };
    Errno::result(result).map(drop)
}

/// Whether its file would give it another user's rights, and tracing by one who may not has kept them from it.
fn has_lost_rights(pid: u32) -> bool {
    const SET_USER_ID: u32 = 0o4000;
    let file = fs::metadata(Path::new(&format!("/proc/{pid}/exe")));
    let user = Status::of(pid).ok().and_then(|status| status.numbers("Uid").nth(1));
    file.is_ok_and(|file| {
        file.mode() & SET_USER_ID != 0 && user.is_some_and(|effective| effective != u64::from(file.uid()))
    })
}

/// AT_ENTRY of the auxiliary vector that the kernel gave it: pairs of 64-bit words.
fn entry_point(auxv: &[u8]) -> io::Result<u64> {
    const AT_ENTRY: u64 = 9;
    let word = |bytes: &[u8]| Some(u64::from_ne_bytes(bytes.try_into().ok()?));
    auxv.chunks_exact(16)
        .find(|pair| word(&pair[..8]) == Some(AT_ENTRY))
        .and_then(|pair| word(&pair[8..]))
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the auxiliary vector has no AT_ENTRY"))
}
