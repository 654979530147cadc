//! Growth mode on programs whose allocators nobody knows.

use std::{path::Path, process::Command, time::Duration};

use leakhound_report::{
    analysis::{Class, Options, VerdictName, analyze},
    recording::{Mode, Recording, Stack},
};
use leakhound_tracer::{investigation::Subject, locate::Target, process::ProcessId, settings::Settings};

use crate::support::{
    Running, can_probe, command, compile, end, installed, ledger, short, through, wait_for, watch,
    watch_command,
};

const PAGE: u64 = 4096;

fn growth(duration: Duration) -> Settings {
    Settings { mode: Mode::Growth, ..short(duration) }
}

/// Live bytes at the end of the stacks that a test holds of.
fn live(recording: &Recording, wanted: impl Fn(&Stack) -> bool) -> u64 {
    let last = |id| {
        let all = recording.snapshots.iter().flat_map(|snapshot| &snapshot.stacks);
        all.rev().find(|one| one.id == id).map_or(0, |one| one.live_bytes)
    };
    recording.stacks.iter().filter(|stack| wanted(stack)).map(|stack| last(stack.id)).sum()
}

#[test]
fn pages_that_are_kept_are_told_from_pages_given_back() {
    if !can_probe() {
        return;
    }
    const ROUNDS: u64 = 300;
    let program = compile("cc", "grower.c", "grower", &["-g", "-O2", "-fomit-frame-pointer"]);
    let words = command(&program, &[&ROUNDS.to_string()]);
    let recording = watch_command(&words, &growth(Duration::from_secs(60))).unwrap();
    assert_eq!(end(&recording).reason, "targetExited");
    let kept = through(&recording, "keep_here");
    let size = ROUNDS * (64 << 10);
    // when a program ends, the last to give its pages back are the kernel's per-CPU lists, and these count
    assert!((size - 256 * PAGE..=size).contains(&kept.live_bytes), "{kept:?}");
    assert_eq!(kept.allocated_bytes, size);
    let given_back = through(&recording, "give_back_here");
    assert_eq!(given_back.allocated_bytes, ROUNDS * (128 << 10));
    assert!(given_back.live_bytes <= 256 * PAGE, "{given_back:?}");
    for loss in ["blocksFull", "countersFull", "walksBusy", "stacksFull", "walksNoRows", "walksUnreadable"] {
        assert_eq!(ledger(&recording, loss), 0, "{loss}");
    }
}

#[test]
fn huge_pages_count_with_their_size() {
    if !can_probe() {
        return;
    }
    const ROUNDS: u64 = 20;
    const HUGE: u64 = 2 << 20;
    let program = compile("cc", "grower.c", "grower_huge", &["-g", "-O2"]);
    let words = command(&program, &[&ROUNDS.to_string(), "huge"]);
    let recording = watch_command(&words, &growth(Duration::from_secs(60))).unwrap();
    let kept = through(&recording, "keep_huge");
    assert_eq!(kept.allocated_bytes, ROUNDS * HUGE, "{kept:?}");
    assert!(kept.live_bytes >= (ROUNDS - 1) * HUGE, "{kept:?}");
    assert!(kept.allocated_count < ROUNDS * 512, "not one page was a huge one: {kept:?}");
    let given_back = through(&recording, "give_back_huge");
    assert_eq!(given_back.allocated_bytes, ROUNDS * 2 * HUGE);
    assert!(given_back.live_bytes <= 2 * HUGE, "{given_back:?}");
}

#[test]
fn a_stripped_static_program_is_judged_without_being_accused() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "grower.c", "grower_static", &["-O2", "-static", "-s"]);
    let words = command(&program, &["100000"]);
    let refusal = watch_command(&words, &short(Duration::from_secs(2))).unwrap_err().to_string();
    assert!(refusal.contains("--mode growth"), "{refusal}");

    let recording = watch_command(&words, &growth(Duration::from_secs(6))).unwrap();
    assert_eq!(ledger(&recording, "walksNoRows") + ledger(&recording, "walksUnreadable"), 0);
    let analysis = analyze(&recording, &Options::default());
    assert_eq!(analysis.verdict.name, VerdictName::GrowthUnexplained, "{:?}", analysis.verdict);
    let first = &analysis.findings[0];
    assert_eq!(first.class, Class::Suspected, "{first:?}");
    assert!(first.frames.len() >= 4 && first.cut_short.is_none(), "{first:?}");
    let leaks = analysis.findings.iter().filter(|finding| finding.class == Class::Leak);
    assert_eq!(leaks.count(), 0);
    assert!(analysis.verdict.reasons.iter().any(|reason| reason.contains("it cannot tell")));
}

#[test]
fn a_stack_that_another_tools_return_probes_hide_says_so() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "hoard.c", "hoard_traced", &["-g", "-O2"]);
    let running = Running::start(&program, &[]);
    let pid = running.0.id();
    wait_for("the program to be itself", || {
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path.ends_with("hoard_traced"))
    });
    let id = ProcessId::find(pid).unwrap();
    let subject = || Subject::Running(Target::Process(id));
    let recording = std::thread::scope(|scope| {
        let other = scope.spawn(|| watch(subject(), &short(Duration::from_secs(20))).unwrap());
        let mapped = || std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().contains("[uprobes]");
        wait_for("the other tool's probes", mapped);
        let recording = watch(subject(), &growth(Duration::from_secs(3))).unwrap();
        assert!(ledger(&other.join().unwrap(), "allocations") > 0);
        recording
    });
    let hidden = ledger(&recording, "walksReturnProbe");
    assert!(hidden > 0 && ledger(&recording, "walksNoMapping") == 0, "{hidden}");
    let why = "a return probe hides the caller: another tool is tracing this program";
    let stacks: Vec<_> =
        recording.stacks.iter().filter(|one| one.cut_short.as_deref() == Some(why)).collect();
    assert!(!stacks.is_empty());
    for stack in stacks {
        let last = stack.frames.last().and_then(|frame| frame.function.as_deref());
        assert_eq!(last, Some("malloc"), "{stack:?}");
    }
}

fn has_go() -> bool {
    let there = Command::new("go").arg("version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "CI must have Go");
    if !there {
        eprintln!("SKIPPED: Go is not installed");
    }
    there
}

#[test]
fn go_stacks_reach_main() {
    if !can_probe() || !has_go() {
        return;
    }
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("grower_go");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/programs/grower.go");
    let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(source).status().unwrap();
    assert!(built.success());
    let recording = watch_command(&command(&program, &[]), &growth(Duration::from_secs(5))).unwrap();
    let kept = through(&recording, "main.keepHere");
    let all = live(&recording, |_| true);
    assert!(kept.live_bytes > 10 << 20 && kept.live_bytes > all * 8 / 10, "{kept:?} of {all}");
    let has =
        |stack: &Stack, name: &str| stack.frames.iter().any(|frame| frame.function.as_deref() == Some(name));
    let reached = live(&recording, |stack| has(stack, "main.keepHere") && has(stack, "main.main"));
    assert_eq!(reached, kept.live_bytes);
    let analysis = analyze(&recording, &Options::default());
    assert_eq!(analysis.verdict.name, VerdictName::GrowthUnexplained, "{:?}", analysis.verdict);
}

#[test]
fn java_shows_its_native_part() {
    if !can_probe() || !installed("/usr/bin/javac") {
        return;
    }
    let folder = env!("CARGO_TARGET_TMPDIR");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/programs/Grower.java");
    assert!(Command::new("/usr/bin/javac").args(["-d", folder]).arg(source).status().unwrap().success());
    let java = std::fs::canonicalize("/usr/bin/java").unwrap();
    let words = command(&java, &["-Xmx1g", "-XX:+UseSerialGC", "-cp", folder, "Grower"]);
    let recording = watch_command(&words, &growth(Duration::from_secs(6))).unwrap();
    let machine = recording.modules.iter().find(|module| module.path.ends_with("libjvm.so")).unwrap().id;
    let native = live(&recording, |stack| stack.frames.iter().any(|frame| frame.module == Some(machine)));
    let all = live(&recording, |_| true);
    assert!(all > 50 << 20 && native > all / 2, "{native} of {all}");
}

/// Where pids are not those that eBPF programs see, as in a container.
#[test]
fn in_a_pid_namespace_of_its_own() {
    if !can_probe() {
        return;
    }
    let test = "growth::pages_that_are_kept_are_told_from_pages_given_back";
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
