//! However an investigation ends, the target goes on as before and nothing of ours is left.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use leakhound_tracer::{investigation::Subject, locate::Target, process::ProcessId};

use crate::support::{Running, can_probe, compile, end, short, through, wait_for, watch, watch_with};

fn subject(process: &Running) -> Subject {
    Subject::Running(Target::Process(ProcessId::find(process.0.id()).unwrap()))
}

#[test]
fn a_target_that_is_attached_to_lives_on() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "steady.c", "steady_alive", &["-g", "-O2"]);
    let mut target = Running::start(&program, &[]);
    wait_for("the program to be itself", || is_running(&target, "steady_alive"));
    let recording = watch(subject(&target), &short(Duration::from_secs(2))).unwrap();
    assert_eq!(end(&recording).reason, "duration");
    assert!(target.is_alive());
    let seen = through(&recording, "allocate_for_ever");
    assert!(seen.allocated_count > 1000, "{seen:?}");
    assert!(seen.live_count <= 2, "{seen:?}");
}

#[test]
fn asked_to_stop_it_stops_at_once_with_a_full_result() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "steady.c", "steady_stopped", &["-g", "-O2"]);
    let target = Running::start(&program, &[]);
    wait_for("the program to be itself", || is_running(&target, "steady_stopped"));
    let stop = AtomicBool::new(false);
    let ask = &mut || stop.store(true, Ordering::Relaxed);
    let recording = watch_with(subject(&target), &short(Duration::from_secs(600)), &stop, ask).unwrap();
    assert_eq!(end(&recording).reason, "stopped");
    assert!(!recording.snapshots.is_empty());
}

#[test]
fn a_target_killed_in_the_middle_leaves_its_numbers() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_killed", &["-g", "-O2"]);
    let mut target = Running::start(&program, &["100", "600"]);
    wait_for("the program to be itself", || is_running(&target, "leak_killed"));
    let subject = subject(&target);
    let kill = &mut || target.0.kill().unwrap();
    let never = AtomicBool::new(false);
    let recording = watch_with(subject, &short(Duration::from_secs(600)), &never, kill).unwrap();
    assert_eq!(end(&recording).reason, "targetExited");
}

#[test]
fn what_cannot_be_followed_is_refused() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_32_bit", &["-m32", "-O2"]);
    let target = Running::start(&program, &["1", "600"]);
    wait_for("the program to be itself", || is_running(&target, "leak_32_bit"));
    let error = ProcessId::find(target.0.id()).unwrap_err().to_string();
    assert!(error.contains("32-bit"), "{error}");
}

fn is_running(process: &Running, name: &str) -> bool {
    std::fs::read_link(format!("/proc/{}/exe", process.0.id()))
        .is_ok_and(|path| path.file_name() == Path::new(name).file_name())
}
