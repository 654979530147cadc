use std::{
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::Child,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use rustix::{
    fs::{Mode, chmod, chown},
    process::{Gid, Uid},
    thread::{set_thread_res_gid, set_thread_res_uid},
};

use super::*;
use crate::{
    maps::{self, MapPath},
    specimen::{PAUSE, compile, is_root, wait_for},
};

fn words(command: &[&str]) -> Vec<OsString> {
    command.iter().map(OsString::from).collect()
}

fn launch(command: &[&str]) -> Launched {
    Launched::spawn(&words(command), false).unwrap()
}

fn finish(mut launched: Launched) -> ExitStatus {
    launched.go().unwrap();
    launched.child.wait().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Leaves its exit status as the number of its arguments, and a file when it runs.
const WITNESS: &str =
    "#include <stdio.h>\nint main(int n, char **v) { fclose(fopen(v[1], \"w\")); return n; }\n";

#[test]
fn libraries_are_mapped_before_the_program_runs() {
    let folder = tempfile::tempdir().unwrap();
    let kinds: [(&str, &[&str], bool); 4] = [
        ("dynamic", &["-pie", "-fPIE"], true),
        ("fixed", &["-no-pie"], true),
        ("static", &["-static"], false),
        ("static-pie", &["-static-pie"], false),
    ];
    for (kind, flags, has_libc) in kinds {
        let program = compile(folder.path(), kind, WITNESS, flags);
        let made = folder.path().join(format!("made-by-{kind}"));
        let launched = launch(&[text(&program), text(&made), "x"]);
        let mapped = maps::executable(launched.id()).unwrap();
        let has = |name: &str| mapped.iter().any(|mapping| mapping.path.to_string().contains(name));
        assert!(has(kind), "{mapped:?}");
        assert_eq!(has("libc.so"), has_libc, "{mapped:?}");
        assert!(!made.exists(), "{kind} ran before it was let go");
        assert_eq!(finish(launched).code(), Some(3));
        assert!(made.exists());
    }
}

#[test]
fn its_first_instruction_is_its_own_again() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), "clean", PAUSE, &["-no-pie"]);
    let launched = launch(&[text(&program)]);
    let mappings = maps::executable(launched.id()).unwrap();
    let is_it = |path: &MapPath| matches!(path, MapPath::File { path, .. } if path.ends_with("clean"));
    let mapping = mappings.iter().find(|mapping| is_it(&mapping.path)).unwrap();
    let read = |file: &str, offset: u64| {
        let mut bytes = vec![0; 4096];
        let file = fs::File::open(file).unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, offset).unwrap();
        bytes
    };
    let memory = read(&format!("/proc/{}/mem", launched.id().pid), mapping.start);
    assert_eq!(memory, read(text(&program), mapping.file_offset));
    let status = fs::read_to_string(format!("/proc/{}/status", launched.id().pid)).unwrap();
    assert!(status.contains("SigBlk:\t0000000000000000"), "{status}");
}

#[test]
fn once_it_runs_nobody_traces_it() {
    let mut launched = launch(&["sleep", "100"]);
    let tracer = |id: ProcessId| crate::process::Status::of(id.pid).unwrap().number("TracerPid").unwrap();
    assert_ne!(tracer(launched.id()), 0);
    launched.go().unwrap();
    assert_eq!(tracer(launched.id()), 0);
    assert!(launched.try_wait().unwrap().is_none());
}

fn script(folder: &Path, name: &str, content: &str) -> PathBuf {
    let script = folder.join(name);
    fs::write(&script, content).unwrap();
    chmod(&script, Mode::from_raw_mode(0o755)).unwrap();
    script
}

#[test]
fn a_script_stops_at_its_interpreter() {
    let folder = tempfile::tempdir().unwrap();
    let script = script(folder.path(), "script", "#!/bin/sh\nexit 7\n");
    assert_eq!(finish(launch(&[text(&script)])).code(), Some(7));
}

#[test]
fn what_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let start = |command: &str| Launched::spawn(&words(&[command]), false).unwrap_err().to_string();
    for missing in ["/does/not/exist", "leakhound-no-such-command"] {
        assert!(start(missing).contains("check its name"), "{}", start(missing));
    }
    let plain = folder.path().join("plain");
    fs::write(&plain, "no program").unwrap();
    assert!(start(text(&plain)).contains("chmod +x"));
    assert!(start(text(folder.path())).contains("chmod +x"), "a folder");
    let orphan = script(folder.path(), "orphan", "#!/no/such/interpreter\n");
    assert!(start(text(&orphan)).contains("interpreter that it names"), "{}", start(text(&orphan)));
    let whole = compile(folder.path(), "whole", PAUSE, &[]);
    for length in [8, 100, 700, 5000] {
        let cut = compile(folder.path(), "cut", PAUSE, &[]);
        fs::OpenOptions::new().write(true).open(&cut).unwrap().set_len(length).unwrap();
        let error = start(text(&cut));
        assert!(error.contains("not a readable ELF") || error.contains("ended before it began"), "{error}");
    }
    launch(&[text(&whole)]);
    assert!(matches!(Launched::spawn(&[], false), Err(LaunchError::Empty)));
}

#[test]
fn a_32_bit_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(folder.path(), "small", PAUSE, &["-m32"]);
    let error = Launched::spawn(&words(&[text(&program)]), false).unwrap_err();
    assert!(error.to_string().contains("32-bit"), "{error}");
}

#[test]
fn a_program_that_ends_at_once_has_a_status() {
    assert!(finish(launch(&["true"])).success());
    let mut launched = launch(&["false"]);
    launched.go().unwrap();
    let mut status = None;
    wait_for("its end", || {
        status = launched.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(1));
    assert_eq!(launched.stop().unwrap().code(), Some(1));
}

/// Starts a program whose library runs code before the entry point.
fn with_constructor(folder: &Path, body: &str) -> Result<Launched, LaunchError> {
    let source = format!(
        "#include <signal.h>\n#include <stdlib.h>\n#include <unistd.h>\n\
        static void nothing(int s) {{ (void)s; }}\n\
        __attribute__((constructor)) static void begin(void) {{ {body} }}\n"
    );
    let library = compile(folder, "libconstructor.so", &source, &["-shared", "-fPIC"]);
    let environment = [("LD_PRELOAD".into(), library.into_os_string())];
    Launched::spawn_with(&words(&["sh", "-c", "exit 5"]), false, &environment)
}

#[test]
fn what_constructors_do_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let run = |body| with_constructor(folder.path(), body);
    for body in ["_exit(3);", "exit(3);"] {
        assert!(run(body).unwrap_err().to_string().contains("ended before it began: exit status 3"));
    }
    assert!(run("abort();").unwrap_err().to_string().contains("SIGABRT"));
    // signals of the program's own, even the breakpoint's
    for body in
        ["signal(SIGTRAP, nothing); raise(SIGTRAP); nothing(0);", "signal(SIGUSR1, nothing); raise(SIGUSR1);"]
    {
        assert_eq!(finish(run(body).unwrap()).code(), Some(5), "{body}");
    }
    assert!(run("raise(SIGTRAP);").unwrap_err().to_string().contains("SIGTRAP"));
}

#[test]
fn a_program_that_becomes_another_before_it_begins_is_stopped_there() {
    let folder = tempfile::tempdir().unwrap();
    let body = "unsetenv(\"LD_PRELOAD\"); execl(\"/bin/sleep\", \"sleep\", \"100\", (char *)0);";
    let mut launched = with_constructor(folder.path(), body).unwrap();
    assert_eq!(launched.id().command(), "sleep 100");
    assert!(
        maps::executable(launched.id())
            .unwrap()
            .iter()
            .any(|mapping| mapping.path.to_string().contains("libc.so"))
    );
    launched.go().unwrap();
    assert_eq!(launched.stop().unwrap().signal(), Some(libc::SIGTERM));
}

#[test]
fn a_signal_on_the_way_is_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let error =
        with_constructor(folder.path(), "signal(SIGINT, SIG_DFL); kill(getpid(), SIGINT);").unwrap_err();
    assert!(error.to_string().contains("SIGINT"), "{error}");
}

#[test]
fn what_we_started_we_can_end() {
    let mut launched = launch(&["sleep", "100"]);
    launched.go().unwrap();
    assert_eq!(launched.stop().unwrap().signal(), Some(libc::SIGTERM));
    assert!(launched.id().verify().is_err());
    assert_eq!(launched.stop().unwrap().signal(), Some(libc::SIGTERM), "again");
}

#[test]
fn what_was_never_let_go_is_ended_at_once() {
    let began = Instant::now();
    let mut launched = launch(&["sleep", "100"]);
    assert_eq!(launched.stop().unwrap().signal(), Some(libc::SIGKILL));
    let dropped = launch(&["sleep", "100"]);
    let id = dropped.id();
    drop(dropped);
    assert!(id.verify().is_err());
    assert!(began.elapsed().as_secs() < 2, "it waited for a process that cannot hear");
}

#[test]
fn what_ignores_us_is_ended_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let script = format!("trap '' TERM; touch {}; while :; do sleep 0.1; done", ready.display());
    let mut launched = launch(&["sh", "-c", &script]);
    launched.go().unwrap();
    wait_for("it to be ready", || ready.exists());
    assert_eq!(launched.stop().unwrap().signal(), Some(libc::SIGKILL));
}

#[test]
fn what_it_started_ends_with_it() {
    let mut launched = launch(&["sh", "-c", "sleep 100 & sleep 100; true"]);
    launched.go().unwrap();
    let children = || crate::process::descendants(launched.id());
    wait_for("its children", || children().iter().filter(|id| id.command() == "sleep 100").count() == 2);
    let children = children();
    launched.stop().unwrap();
    wait_for("their end", || children.iter().all(|id| !id.is_alive()));
}

#[test]
fn output_can_be_kept_away_from_ours() {
    let launched = Launched::spawn(&words(&["sleep", "100"]), true).unwrap();
    let output = |pid: u32, number: u32| fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
    assert_eq!(output(launched.id().pid, 1), output(std::process::id(), 2));
}

#[test]
fn rights_that_tracing_takes_away_are_missed() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (nobody, owner) = (65534, 1);
    let program = compile(folder.path(), "privileged", PAUSE, &[]);
    chmod(folder.path(), Mode::from_raw_mode(0o755)).unwrap();
    chown(&program, Some(Uid::from_raw(owner)), None).unwrap();
    chmod(&program, Mode::from_raw_mode(0o4755)).unwrap();
    // as root it gets them
    let launched = launch(&[text(&program)]);
    let user = crate::process::Status::of(launched.id().pid).unwrap().numbers("Uid").nth(1);
    assert_eq!(user, Some(u64::from(owner)));
    let command = words(&[text(&program)]);
    let error = std::thread::spawn(move || {
        let (user, group) = (Uid::from_raw(nobody), Gid::from_raw(nobody));
        set_thread_res_gid(group, group, group).unwrap();
        set_thread_res_uid(user, user, user).unwrap();
        Launched::spawn(&command, false).map(drop).unwrap_err().to_string()
    });
    let error = error.join().unwrap();
    assert!(error.contains("set-user-id"), "{error}");
}

/// Ourselves once more, in a process that can be killed.
const ROLE: &str = "LEAKHOUND_TEST_LAUNCH";

fn run_ourselves(role: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "launch::tests::play_a_role", "--ignored", "--nocapture"]).env(ROLE, role);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
#[ignore = "what another test runs in a process of its own"]
fn play_a_role() {
    let role = std::env::var(ROLE).unwrap_or_default();
    let mut launched = launch(&["sleep", "100"]);
    if role == "running" {
        launched.go().unwrap();
    }
    println!("\npid {}", launched.id().pid);
    loop {
        std::thread::park();
    }
}

#[test]
fn killed_we_take_it_with_us() {
    for role in ["running", "waiting"] {
        let mut ours = run_ourselves(role);
        let mut output = String::new();
        let mut stdout = ours.stdout.take().unwrap();
        let pid = loop {
            let mut byte = [0];
            stdout.read_exact(&mut byte).unwrap();
            output.push(byte[0].into());
            let line = output.lines().find_map(|line| line.strip_prefix("pid "));
            if let Some(pid) = line.filter(|_| output.ends_with('\n')) {
                break pid.parse().unwrap();
            }
        };
        let id = ProcessId::find(pid).unwrap();
        ours.kill().unwrap();
        ours.wait().unwrap();
        wait_for("its end", || !id.is_alive());
    }
}

/// A terminal's size changes, a timer fires: a traced process stops on every signal, also on those it ignores.
#[test]
fn signals_while_it_is_made_hang_nobody() {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let everybody_here = Pid::from_raw(0);
            while !done.load(Ordering::Relaxed) {
                nix::sys::signal::kill(everybody_here, nix::sys::signal::Signal::SIGWINCH).unwrap();
            }
        });
        for _ in 0..50 {
            assert!(finish(launch(&["true"])).success());
        }
        done.store(true, Ordering::Relaxed);
    });
}
