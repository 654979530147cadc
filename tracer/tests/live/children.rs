//! Processes that a target starts: followed as they come, and their slots used again.

use std::{fs, process::Command, sync::atomic::AtomicBool, time::Duration};

use leakhound_report::recording::EventKind;
use leakhound_tracer::{
    investigation::Subject,
    locate::{Choice, Group, Target},
    settings::Settings,
};
use rustix::time::{ClockId, clock_gettime};

use crate::support::{
    Running, can_probe, command, compile, end, ledger, short, through, watch_command, watch_with,
};

#[test]
fn children_of_a_started_program_are_followed() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "forker.c", "forker", &["-g", "-O2"]);
    let recording = watch_command(&command(&program, &["3"]), &short(Duration::from_secs(60))).unwrap();
    assert!(
        recording.events.iter().any(|event| event.what == EventKind::ProcessFound),
        "{:?}",
        recording.events
    );
    assert!(through(&recording, "leak_in_child").allocated_count > 0);
}

/// The one worker that is watched ends when another one is there already: the group is what is watched, not its process.
#[test]
fn a_group_goes_on_with_the_next_worker_when_all_that_were_watched_have_ended() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_in_worker", &["-g", "-O2"]);
    let folder = tempfile::tempdir().unwrap();
    let workers = folder.path().join("cgroup.procs");
    let worker = || Running(Command::new(&program).args(["50", "600"]).spawn().unwrap());
    let (mut first, next) = (Some(worker()), worker());
    fs::write(&workers, first.as_ref().unwrap().0.id().to_string()).unwrap();
    let target = Target::Group(Group { folder: folder.path().to_owned(), choice: Choice::Largest, most: 1 });
    let mut end_the_first = || {
        if let Some(ended) = first.take() {
            fs::write(&workers, format!("{}\n{}", ended.0.id(), next.0.id())).unwrap(); // killed when dropped
        }
    };
    let (subject, settings) = (Subject::Running(target), short(Duration::from_secs(5)));
    let recording = watch_with(subject, &settings, &AtomicBool::new(false), &mut end_the_first).unwrap();
    assert_eq!(end(&recording).reason, "duration", "{:?}", recording.events);
    let happened = |what| recording.events.iter().any(|event| event.what == what);
    assert!(happened(EventKind::ProcessFound) && happened(EventKind::Exited), "{:?}", recording.events);
    let last = &recording.snapshots.last().unwrap().processes;
    assert_eq!(last.iter().map(|process| process.pid).collect::<Vec<_>>(), [next.0.id()]);
}

/// Snapshots are a minute apart: only news of a fork can tell of a child in time.
fn between_snapshots() -> Settings {
    Settings { interval: Duration::from_secs(60), ..short(Duration::from_secs(60)) }
}

#[test]
fn children_that_live_between_two_snapshots_are_seen() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "brood.c", "brood_short", &["-g", "-O2"]);
    // six seconds are long on a machine that is busy with other tests
    let recording = watch_command(&command(&program, &["3", "6000"]), &between_snapshots()).unwrap();
    let seen = through(&recording, "leak_in_brood");
    assert_eq!(seen.allocated_count, 300, "{:?}", recording.events);
    assert_eq!(ledger(&recording, "childrenMissed"), 0);
    // their memory went with them
    assert_eq!(seen.live_count, 0, "{:?}", recording.events);
}

#[test]
fn twenty_children_at_once_are_all_followed() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "brood.c", "brood_many", &["-g", "-O2"]);
    let recording =
        watch_command(&command(&program, &["20", "8000"]), &short(Duration::from_secs(60))).unwrap();
    assert_eq!(through(&recording, "leak_in_brood").allocated_count, 2000, "{:?}", recording.events);
}

#[test]
fn a_storm_of_forks_costs_a_bounded_effort_and_is_counted() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "brood.c", "brood_storm", &["-g", "-O2"]);
    let before = own_time();
    // a thousand children of a millisecond, as fast as they come
    let recording =
        watch_command(&command(&program, &["1000", "1", "500"]), &short(Duration::from_secs(60))).unwrap();
    assert_eq!(end(&recording).reason, "targetExited");
    let found = recording.events.iter().filter(|event| event.what == EventKind::ProcessFound).count() as u64;
    let missed = ledger(&recording, "childrenMissed");
    assert_eq!(found + missed, 1000, "each is followed or counted");
    // a slot for each would have run out
    assert_eq!(ledger(&recording, "processesLeftOut"), 0);
    let took = own_time() - before;
    assert!(took < 30, "{took} s of our own for {found} children");
}

/// Processor time of this thread in seconds: others follow other programs.
fn own_time() -> i64 {
    clock_gettime(ClockId::ThreadCPUTime).tv_sec
}

#[test]
fn slots_of_ended_processes_are_used_again() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "brood.c", "brood_long", &["-g", "-O2"]);
    // more than there are slots, some twenty of them alive at a time
    let mut settings = short(Duration::from_secs(120));
    settings.interval = Duration::from_millis(250);
    let recording = watch_command(&command(&program, &["300", "1000", "50000"]), &settings).unwrap();
    let found = recording.events.iter().filter(|event| event.what == EventKind::ProcessFound).count();
    assert_eq!(ledger(&recording, "processesLeftOut"), 0);
    let seen = through(&recording, "leak_in_brood");
    assert!(found > 100 && seen.allocated_count > 100, "{found} found, {seen:?}");
    assert_eq!(ledger(&recording, "missedFrees"), 0, "nobody's blocks are taken for another's");
    assert_eq!(seen.live_count, 0, "{seen:?}");
}
