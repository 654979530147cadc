use std::{ffi::OsStr, os::unix::ffi::OsStrExt, process::Command};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, gettid},
};

use super::*;
use crate::specimen::{PAUSE, Running, compile, wait_for};

#[test]
fn what_cannot_be_followed_is_refused_with_its_reason() {
    assert!(matches!(ProcessId::find(std::process::id()), Err(ProcessError::Ourselves { .. })));
    for nobody in [0, u32::MAX >> 2, u32::MAX] {
        assert!(matches!(ProcessId::find(nobody), Err(ProcessError::NoSuchProcess { .. })), "{nobody}");
    }
    assert!(matches!(ProcessId::find(2), Err(ProcessError::KernelThread { .. })));
    // a number of one of our own threads
    assert!(matches!(ProcessId::find(gettid().as_raw().unsigned_abs()), Err(ProcessError::Ourselves { .. })));
}

#[test]
fn a_reused_number_is_noticed() {
    let mut child = Running::start("sleep", &["60"]);
    let id = child.id();
    assert!(id.is_alive());
    let other = ProcessId { start_ticks: id.start_ticks + 1, ..id };
    assert!(matches!(other.verify(), Err(ProcessError::Reused { .. })));
    child.0.kill().unwrap();
    // killed and not waited for
    wait_for("the zombie", || matches!(id.verify(), Err(ProcessError::Zombie { .. })));
    let zombie = ProcessId::find(id.pid).unwrap_err();
    assert!(zombie.to_string().contains(&format!("parent {}", std::process::id())), "{zombie}");
    assert!(zombie.has_ended());
    child.0.wait().unwrap();
    assert!(matches!(id.verify(), Err(ProcessError::NoSuchProcess { .. })));
    assert_eq!(id.command(), "");
}

#[test]
fn a_thread_names_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <pthread.h>\n#include <unistd.h>\n\
        static void *rest(void *p) { pause(); return p; }\n\
        int main(void) { pthread_t t; pthread_create(&t, 0, rest, 0); pause(); }\n";
    let program = Running::start(compile(folder.path(), "threads", source, &["-pthread"]), &[]);
    let pid = program.pid();
    let thread = || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).find(|tid: &u32| *tid != pid)
    };
    wait_for("the second thread", || thread().is_some());
    let error = ProcessId::find(thread().unwrap()).unwrap_err();
    assert!(matches!(error, ProcessError::Thread { process, .. } if process == pid), "{error}");
}

#[test]
fn a_32_bit_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), "small", "int main(void) { for (;;); }\n", &["-m32"]);
    let program = Running(Command::new(program).spawn().unwrap());
    let mut last = None;
    wait_for("the refusal", || {
        last = ProcessId::find(program.pid()).err().map(|error| error.to_string());
        last.is_some()
    });
    assert!(last.as_ref().unwrap().contains("32-bit"), "{last:?}");
}

#[test]
fn a_name_that_is_no_text_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <sys/prctl.h>\n#include <unistd.h>\n\
        int main(void) { prctl(PR_SET_NAME, \"\\xff) Z 1\\n\"); pause(); }\n";
    let program = Running::start(compile(folder.path(), "odd", source, &[]), &["\u{1b}[2J"]);
    let id = program.id();
    let named = || fs::read(format!("/proc/{}/comm", id.pid)).unwrap().starts_with(b"\xff");
    wait_for("its name", named);
    assert!(id.is_alive());
    assert_eq!(ProcessId::find(id.pid).unwrap(), id);
    assert!(!id.has_seccomp_filter());
    assert!(crate::accounting::account(id).is_some());
}

#[test]
fn a_filter_of_one_thread_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <pthread.h>\n#include <unistd.h>\n#include <sys/prctl.h>\n#include <linux/seccomp.h>\n\
        #include <linux/filter.h>\n\
        static void *filtered(void *p) {\n\
          struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);\n\
          struct sock_fprog program = { 1, &allow };\n\
          prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);\n\
          prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);\n\
          pause(); return p; }\n\
        int main(int n, char **v) { pthread_t t; if (n > 1) pthread_create(&t, 0, filtered, 0); pause(); }\n";
    let program = compile(folder.path(), "threads", source, &["-pthread"]);
    let (filtered, plain) = (Running::start(&program, &["filter"]), Running::start(&program, &[]));
    wait_for("the filter", || filtered.id().has_seccomp_filter());
    assert_eq!(Status::of(filtered.pid()).unwrap().number("Seccomp"), Some(0), "its first thread has none");
    assert!(!plain.id().has_seccomp_filter());
}

#[test]
fn a_command_line_is_cut_and_never_hidden() {
    let long = "x".repeat(100_000);
    assert_eq!(Running::start("sleep", &["60"]).id().command(), "sleep 60");
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), "talker", PAUSE, &[]);
    let talker = Running::start(&program, &[&long]).id().command();
    assert_eq!(talker.len(), 4096);
    assert!(talker.starts_with(program.to_str().unwrap()));
    let odd = Running(Command::new(&program).arg(OsStr::from_bytes(b"\xff\xfe")).spawn().unwrap());
    wait_for("its command line", || odd.id().command().ends_with("\u{fffd}\u{fffd}"));
}

#[test]
fn children_and_their_children_are_found() {
    let shell = Running::start("sh", &["-c", "sh -c 'sleep 61 & sleep 62; true' & wait; true"]);
    let named = |name: &str| {
        let all = descendants(shell.id());
        all.into_iter().filter(|id| id.command().starts_with(name)).collect::<Vec<_>>()
    };
    wait_for("both sleepers", || named("sleep").len() == 2);
    assert_eq!(named("sh").len(), 1);
    assert!(descendants(named("sleep")[0]).is_empty());
    for sleeper in named("sleep") {
        kill(Pid::from_raw(sleeper.pid.cast_signed()), Signal::SIGTERM).unwrap();
    }
}
