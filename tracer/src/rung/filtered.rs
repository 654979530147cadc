//! Whether return probes are safe for programs under a seccomp filter.
//!
//! Since Linux 6.11 a probed function returns by a system call that the kernel makes the program do. A filter that does not
//! know it kills the program (systemd#34615, libseccomp#438), until the kernel hides that call from filters. Which kernels do
//! is found out by a process of our own under such a filter.

use std::{cell::OnceCell, hint::black_box, io, io::Write, os::fd::AsRawFd, path::Path};

use leakhound_ebpf::PROBE;
use nix::{
    sys::wait::{WaitStatus, waitpid},
    unistd::{ForkResult, Pid, fork},
};

use super::{Probes, Rung, RungError, SELF_TEST, own_offset, require_seen, self_test_target};
use crate::{bpf::Object, process::ProcessId};

/// Remembers what the proof said, which is made when the first program with a filter is met.
#[derive(Debug)]
pub struct FilterProof {
    rung: Rung,
    survived: OnceCell<bool>,
}

impl FilterProof {
    /// For one way of attaching; nothing is tried yet.
    pub fn new(rung: Rung) -> Self {
        Self { rung, survived: OnceCell::new() }
    }

    /// Whether probes could get this process killed. One that sets up its filter only later is not known for it.
    pub fn endangers(&self, process: ProcessId) -> Result<bool, RungError> {
        if !process.has_seccomp_filter() {
            return Ok(false);
        }
        if let Some(survived) = self.survived.get() {
            return Ok(!survived);
        }
        let survived = survives(self.rung)?;
        Ok(!self.survived.get_or_init(|| survived))
    }
}

/// Whether a process under a filter that knows nothing of return probes lives through one.
fn survives(rung: Rung) -> Result<bool, RungError> {
    const COOKIE: u64 = 0x6c69_7665;
    let mut object = Object::load(PROBE, &[], &[])?;
    let probes = Probes::load(&mut object, SELF_TEST, rung)?;
    let sites = [(own_offset(self_test_target as *const () as u64)?, COOKIE)];
    let call = || {
        black_box(self_test_target(black_box(1)));
    };
    let survived = under_filter(call, |child| {
        let pid = child.as_raw().cast_unsigned();
        probes.attach_calls(&mut object, Path::new("/proc/self/exe"), &sites, pid)
    })?;
    if survived {
        require_seen(&object, 1, COOKIE)?;
    }
    Ok(survived)
}

/// Calls something in a process of our own whose filter allows reading and ending alone, and says whether it ended by itself.
/// What `prepare` returns is kept until then.
fn under_filter<T>(
    call: impl Fn(),
    prepare: impl FnOnce(Pid) -> Result<T, RungError>,
) -> Result<bool, RungError> {
    let (reader, mut writer) = io::pipe().map_err(RungError::OwnProcess)?;
    let ends = (reader.as_raw_fd(), writer.as_raw_fd());
    // SAFETY: the child makes nothing but system calls and `call`, which allocates nothing, and ends without returning.
    #[allow(unsafe_code, reason = "only fork gives a process of our own code")]
    let child = match unsafe { fork() }.map_err(|errno| RungError::OwnProcess(errno.into()))? {
        ForkResult::Child => wait_and_call(ends, call),
        ForkResult::Parent { child } => child,
    };
    drop(reader);
    let prepared =
        prepare(child).and_then(|kept| writer.write_all(b"x").map_err(RungError::OwnProcess).map(|()| kept));
    drop(writer); // without a word it ends as well
    let status = waitpid(child, None).map_err(|errno| RungError::OwnProcess(errno.into()))?;
    prepared.map(|_kept| status == WaitStatus::Exited(child, 0))
}

/// The child's part: sets up its filter, waits for a word, calls, ends.
#[allow(unsafe_code, reason = "between fork and end only system calls are allowed")]
fn wait_and_call((reader, writer): (i32, i32), call: impl Fn()) -> ! {
    const fn step(code: u32, jump: u8, value: u32) -> libc::sock_filter {
        #[allow(clippy::cast_possible_truncation, reason = "all codes have 16 bits")]
        libc::sock_filter { code: code as u16, jt: jump, jf: 0, k: value }
    }
    const LOAD_NUMBER: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const SKIP_IF: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of system calls")]
    let mut filter = [
        step(LOAD_NUMBER, 0, 0),
        step(SKIP_IF, 2, libc::SYS_read as u32),
        step(SKIP_IF, 1, libc::SYS_exit_group as u32),
        step(RETURN, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 5, filter: filter.as_mut_ptr() };
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let mut word = 0u8;
    // SAFETY: every pointer is to a value above that lives on; _exit does not return.
    unsafe {
        libc::close(writer);
        let ready = libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core) == 0
            && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0;
        if ready && libc::read(reader, (&raw mut word).cast(), 1) == 1 {
            call();
            libc::_exit(0);
        }
        libc::_exit(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimen::{Running, compile, is_root};

    #[test]
    fn a_forbidden_call_is_noticed_and_an_innocent_one_is_not() {
        let nothing = |_child| Ok(());
        assert!(under_filter(|| {}, nothing).unwrap());
        let forbidden = || {
            let _ = rustix::process::getppid();
        };
        assert!(!under_filter(forbidden, nothing).unwrap());
        let failed = under_filter(|| {}, |_child| Err::<(), _>(RungError::NoProcess));
        assert!(matches!(failed, Err(RungError::NoProcess)));
    }

    /// What it finds depends on the kernel; that the probe was there when it did is what counts.
    #[test]
    fn every_rung_is_tried_under_a_filter() {
        if is_root() {
            for rung in Rung::LADDER {
                let survived = survives(rung).unwrap();
                eprintln!("{}: a filtered program lives on: {survived}", rung.name());
            }
        }
    }

    #[test]
    fn only_programs_with_a_filter_are_endangered_and_only_where_they_die_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let source = "#include <unistd.h>\n#include <sys/prctl.h>\n#include <linux/seccomp.h>\n#include <linux/filter.h>\n\
            int main(int n, char **v) {\n\
              struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};\n\
              struct sock_fprog all = {1, &allow};\n\
              if (n > 1 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &all))) return 1;\n\
              for (;;) pause();\n}\n";
        let program = compile(folder.path(), "sandboxed", source, &[]);
        let (plain, filtered) = (Running::start(&program, &[]), Running::start(&program, &["filter"]));
        for survived in [true, false] {
            let proof = FilterProof { rung: Rung::Session, survived: OnceCell::from(survived) };
            assert!(!proof.endangers(plain.id()).unwrap());
            assert_eq!(proof.endangers(filtered.id()).unwrap(), !survived);
        }
    }
}
