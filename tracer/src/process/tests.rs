use std::{
    ffi::CString,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::*;

/// A process that ends with its test.
struct Running(Child);

impl Running {
    fn start(program: &str, arguments: &[&str]) -> Self {
        Self(Command::new(program).args(arguments).stdout(Stdio::null()).spawn().unwrap())
    }

    fn id(&self) -> ProcessId {
        ProcessId::find(self.0.id()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 20 s for: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn compile(folder: &std::path::Path, source: &str, flags: &[&str]) -> String {
    let (file, program) = (folder.join("program.c"), folder.join("program"));
    fs::write(&file, source).unwrap();
    let status = Command::new("cc").arg(&file).arg("-o").arg(&program).args(flags).status().unwrap();
    assert!(status.success());
    program.into_os_string().into_string().unwrap()
}

#[test]
fn what_cannot_be_followed_is_refused_with_its_reason() {
    assert!(matches!(ProcessId::find(std::process::id()), Err(ProcessError::Ourselves { .. })));
    for nobody in [0, u32::MAX >> 2, u32::MAX] {
        assert!(matches!(ProcessId::find(nobody), Err(ProcessError::NoSuchProcess { .. })), "{nobody}");
    }
    assert!(matches!(ProcessId::find(2), Err(ProcessError::KernelThread { .. })));
    // a number of one of our own threads
    assert!(matches!(
        ProcessId::find(nix::unistd::gettid().as_raw().unsigned_abs()),
        Err(ProcessError::Ourselves { .. })
    ));
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
    let program = Running::start(&compile(folder.path(), source, &["-pthread"]), &[]);
    let pid = program.0.id();
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
    let program = compile(folder.path(), "int main(void) { for (;;); }\n", &["-m32"]);
    let program = Running::start(&program, &[]);
    let mut last = None;
    wait_for("the refusal", || {
        last = ProcessId::find(program.0.id()).err().map(|error| error.to_string());
        last.is_some()
    });
    assert!(last.as_ref().unwrap().contains("32-bit"), "{last:?}");
}

#[test]
fn a_name_that_is_no_text_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <sys/prctl.h>\n#include <unistd.h>\n\
        int main(void) { prctl(PR_SET_NAME, \"\\xff) Z 1\\n\"); pause(); }\n";
    let program = Running::start(&compile(folder.path(), source, &[]), &["\u{1b}[2J"]);
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
    let program = compile(folder.path(), source, &["-pthread"]);
    let (filtered, plain) = (Running::start(&program, &["filter"]), Running::start(&program, &[]));
    wait_for("the filter", || filtered.id().has_seccomp_filter());
    assert_eq!(Status::of(filtered.0.id()).unwrap().number("Seccomp"), Some(0), "its first thread has none");
    assert!(!plain.id().has_seccomp_filter());
}

#[test]
fn a_command_line_is_cut_and_never_hidden() {
    let long = "x".repeat(100_000);
    let sleeper = Running::start("sleep", &["60"]);
    wait_for("its command line", || sleeper.id().command() == "sleep 60");
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), "#include <unistd.h>\nint main(void) { pause(); }\n", &[]);
    let talker = Running::start(&program, &[&long]);
    wait_for("its command line", || talker.id().command().starts_with(&program));
    assert_eq!(talker.id().command().len(), 4096);
    let odd: CString = CString::new(b"\xff\xfe".to_vec()).unwrap();
    let odd = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(odd.as_bytes());
    let odd = Running(Command::new(&program).arg(odd).spawn().unwrap());
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
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(sleeper.pid.cast_signed()),
            nix::sys::signal::Signal::SIGTERM,
        )
        .unwrap();
    }
}
