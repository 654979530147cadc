//! Libraries loaded later, programs replaced, other roots.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{atomic::AtomicBool, mpsc::channel},
    time::{Duration, Instant},
};

use leakhound_report::recording::EventKind;
use leakhound_tracer::{
    investigation::Subject,
    launch::Launched,
    locate::{Choice, Group, Target},
    process::ProcessId,
    settings::Settings,
};

use crate::support::{
    Running, can_probe, command, compile, end, ledger, short, through, wait_for, watch, watch_command,
    watch_with,
};

#[test]
fn a_library_loaded_later_is_walked_and_probed() {
    if !can_probe() {
        return;
    }
    let library = compile("cc", "plugin.c", "libplugin.so", &["-g", "-O2", "-shared", "-fPIC"]);
    let program = compile("cc", "host.c", "plugin_host", &["-g", "-O2", "-ldl"]);
    let words = command(&program, &[library.to_str().unwrap(), "4"]);
    let recording = watch_command(&words, &short(Duration::from_secs(60))).unwrap();
    assert!(recording.modules.iter().any(|module| module.path.ends_with("libplugin.so")));
    let seen = through(&recording, "leak_in_plugin");
    assert!(seen.live_count > 0, "{seen:?}");
}

#[test]
fn an_allocator_loaded_and_unloaded_all_the_time_does_no_harm() {
    if !can_probe() {
        return;
    }
    let library = compile("cc", "arena.c", "libarena.so", &["-g", "-O2", "-shared", "-fPIC", "-fno-builtin"]);
    let program = compile("cc", "reloader.c", "reloader", &["-g", "-O2", "-ldl"]);
    let counted = tempfile::NamedTempFile::new().unwrap();
    let words = command(&program, &[library.to_str().unwrap(), "6", counted.path().to_str().unwrap()]);
    let recording = watch_command(&words, &short(Duration::from_secs(60))).unwrap();
    assert_eq!(end(&recording).reason, "targetExited");
    let rounds: u64 = fs::read_to_string(counted.path()).unwrap().parse().expect("it ended as it should");
    // its own blocks are all there
    let kept = through(&recording, "keep_between");
    assert_eq!((kept.live_count, kept.live_bytes), (rounds, rounds * 93), "{rounds} rounds: {kept:?}");
    // the library's are seen once it was there at a look, and its unloading leaves none behind
    let used = through(&recording, "use");
    assert!(used.allocated_count > 0 && used.live_count == 0, "{rounds} rounds: {used:?}");
}

#[test]
fn a_replaced_program_is_followed_and_its_blocks_forgotten() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_after_exec", &["-g", "-O2"]);
    let first = compile("cc", "become.c", "become", &["-g", "-O2"]);
    let words = command(&first, &["2", program.to_str().unwrap(), "50", "3"]);
    let recording = watch_command(&words, &short(Duration::from_secs(60))).unwrap();
    assert!(recording.events.iter().any(|event| event.what == EventKind::Executed), "{:?}", recording.events);
    assert_eq!(through(&recording, "leak_before_exec").live_count, 0);
    assert!(through(&recording, "leak_before_exec").allocated_count > 0);
}

/// A server that reloads by replacing itself with itself.
#[test]
fn a_program_that_starts_itself_again_leaves_nothing_behind() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "become.c", "become_itself", &["-g", "-O2"]);
    let again = program.to_str().unwrap();
    let words = command(&program, &["1", again, "1", again, "60", again]);
    let recording = watch_command(&words, &short(Duration::from_secs(7))).unwrap();
    let seen = through(&recording, "leak_before_exec");
    assert_eq!((seen.allocated_count, seen.live_count), (3000, 1000), "{:?}", recording.events);
    let replaced = recording.events.iter().filter(|event| event.what == EventKind::Executed).count();
    assert_eq!(replaced, 2, "{:?}", recording.events);
}

/// Its probes stay on for a moment after the program they were put on is gone.
#[test]
fn what_follows_a_replaced_program_is_not_taken_for_its_own() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "busy.c", "busy", &["-g", "-O2"]);
    // the more allocators there are, the longer
    let library =
        compile("cc", "arena.c", "libarena0.so", &["-g", "-O2", "-shared", "-fPIC", "-fno-builtin"]);
    let copies: Vec<PathBuf> =
        (1..12).map(|number| library.with_file_name(format!("libarena{number}.so"))).collect();
    for copy in &copies {
        fs::copy(&library, copy).unwrap();
    }
    let preloaded = copies.iter().map(|path| path.as_os_str()).collect::<Vec<_>>().join(OsStr::new(" "));
    let environment = [("LD_PRELOAD".into(), preloaded)];
    let words = command(&program, &["550", "9"]);
    let mut launched = Launched::spawn_with(&words, false, &environment).unwrap();
    // by itself it is looked at just before each snapshot
    let subject = Subject::Running(Target::Process(launched.id()));
    let mut go = || launched.go().unwrap();
    let (mut settings, never) = (short(Duration::from_secs(60)), AtomicBool::new(false));
    settings.capacity.blocks = 1_000_000;
    let recording = watch_with(subject, &settings, &never, &mut go).unwrap();
    let replaced = recording.events.iter().filter(|event| event.what == EventKind::Executed).count();
    assert!(replaced > 1, "{:?}", recording.events);
    for stack in &recording.stacks {
        let last = recording.snapshots.iter().flat_map(|one| &one.stacks).rfind(|one| one.id == stack.id);
        let named = stack.frames.iter().skip(1).any(|frame| frame.function.is_some());
        let live = last.map_or(0, |one| one.live_count);
        assert!(live == 0 || named, "{live} blocks of nobody: {stack:?}");
    }
    assert!(through(&recording, "leak_all_the_time").allocated_count > 0);
}

#[test]
fn a_library_in_the_place_of_another_is_told_from_it() {
    if !can_probe() {
        return;
    }
    let version = |name: &str| {
        let named = format!("-DVERSION={name}");
        compile("cc", "version.c", &format!("lib{name}.so"), &["-g", "-O1", "-shared", "-fPIC", &named])
    };
    let (old, new) = (version("leak_in_old"), version("leak_in_new"));
    let program = compile("cc", "swapper.c", "swapper", &["-g", "-O2", "-ldl"]);
    let words = command(&program, &[old.to_str().unwrap(), new.to_str().unwrap()]);
    let recording = watch_command(&words, &short(Duration::from_secs(60))).unwrap();
    let count = |function| through(&recording, function).live_count;
    assert_eq!((count("leak_in_old"), count("leak_in_new")), (300, 500));
}

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

/// A container's libc lies in another root and mount namespace, under a path that here names another file or none.
#[test]
fn another_root_needs_no_flag() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_in_root", &["-g", "-O2"]);
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path.trim_start_matches('/'));
    for folder in ["/opt/elsewhere", "/lib64", "/old"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    fs::copy("/lib/x86_64-linux-gnu/libc.so.6", at("/opt/elsewhere/libc.so.6.real")).unwrap();
    // an absolute link: followed in our own root it leads nowhere
    std::os::unix::fs::symlink("/opt/elsewhere/libc.so.6.real", at("/opt/elsewhere/libc.so.6")).unwrap();
    fs::copy("/lib64/ld-linux-x86-64.so.2", at("/lib64/ld-linux-x86-64.so.2")).unwrap();
    fs::copy(&program, at("/opt/elsewhere/leak")).unwrap();
    let program = "/lib64/ld-linux-x86-64.so.2 --library-path /opt/elsewhere /opt/elsewhere/leak 0 600";
    let pivoted = format!(
        "mount --bind {0} {0} && cd {0} && pivot_root . old && exec {program}",
        root.path().display()
    );
    let chrooted = format!("exec chroot {} {program}", root.path().display());
    for way in [pivoted, chrooted] {
        let mut inside = Command::new("unshare");
        inside.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c"]).arg(&way);
        assert_libc_is_found(&Running(inside.spawn().unwrap()), &way);
    }
}

fn assert_libc_is_found(parent: &Running, way: &str) {
    let mut found = None;
    wait_for("the program inside its root", || {
        found = child_running(parent.0.id(), "ld-linux-x86-64.so.2");
        found.is_some()
    });
    let target = Target::Process(ProcessId::find(found.unwrap()).unwrap());
    let recording = watch(Subject::Running(target), &short(Duration::from_secs(1))).unwrap();
    let libc = recording.header.allocators.iter().find(|one| one.family == "glibc").expect("its libc");
    assert_eq!(libc.module, "/opt/elsewhere/libc.so.6.real", "{way}");
}

fn child_running(parent: u32, name: &str) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid: &u32| {
        fs::read_link(format!("/proc/{pid}/exe"))
            .is_ok_and(|path| path.file_name() == Path::new(name).file_name())
            && fs::read_to_string(format!("/proc/{pid}/maps"))
                .is_ok_and(|maps| maps.contains("libc.so.6.real"))
    })
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
    // two seconds are long on a machine that is busy with other tests
    let recording = watch_command(&command(&program, &["3", "2000"]), &between_snapshots()).unwrap();
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
    let before = own_seconds();
    // a thousand children of a millisecond, as fast as they come
    let recording =
        watch_command(&command(&program, &["1000", "1", "500"]), &short(Duration::from_secs(60))).unwrap();
    assert_eq!(end(&recording).reason, "targetExited");
    let found = recording.events.iter().filter(|event| event.what == EventKind::ProcessFound).count() as u64;
    let missed = ledger(&recording, "childrenMissed");
    assert_eq!(found + missed, 1000, "each is followed or counted");
    // a slot for each would have run out
    assert_eq!(ledger(&recording, "processesLeftOut"), 0);
    let took = own_seconds() - before;
    assert!(took < 30.0, "{took} s of our own for {found} children");
}

/// Processor time of this process.
fn own_seconds() -> f64 {
    let stat = procfs::process::Process::myself().and_then(|own| own.stat()).unwrap();
    (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64
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

#[test]
fn two_investigations_of_one_process_do_not_disturb_each_other() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "steady.c", "steady_twice", &["-g", "-O2"]);
    let target = Running::start(&program, &[]);
    wait_for("the program to be itself", || {
        fs::read_link(format!("/proc/{}/exe", target.0.id())).is_ok_and(|path| path.ends_with("steady_twice"))
    });
    let id = ProcessId::find(target.0.id()).unwrap();
    let look = || watch(Subject::Running(Target::Process(id)), &short(Duration::from_secs(3))).unwrap();
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(look);
        (look(), other.join().unwrap())
    });
    for recording in [first, second] {
        let seen = through(&recording, "allocate_for_ever");
        assert!(seen.allocated_count > 100 && seen.live_count <= 2, "{seen:?}");
        assert_eq!(ledger(&recording, "returnsUnmatched") + ledger(&recording, "missedFrees"), 0);
    }
}

/// A container as far as the kernel knows: a control group whose name is an id of 64 digits.
struct Container(PathBuf);

impl Container {
    fn make(id: &str) -> Self {
        let v1 = Path::new("/sys/fs/cgroup/pids");
        let root = if v1.is_dir() { v1 } else { Path::new("/sys/fs/cgroup") };
        let folder = root.join(id);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    /// Starts a program inside, from its first instruction.
    fn run(&self, program: &Path, arguments: &str) -> Running {
        let line =
            format!("echo $$ >{}/cgroup.procs && exec {} {arguments}", self.0.display(), program.display());
        Running(Command::new("sh").args(["-c", &line]).spawn().unwrap())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        wait_for("the group to be empty", || fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn a_container_that_restarts_is_followed() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_in_container", &["-g", "-O2"]);
    let id = format!("{:064x}", std::process::id());
    let container = Container::make(&id);
    let first = container.run(&program, "50 600");
    wait_for("the program to be itself", || {
        fs::read_link(format!("/proc/{}/exe", first.0.id()))
            .is_ok_and(|path| path.ends_with("leak_in_container"))
    });
    let target = Target::container(&id).unwrap();
    let (on, wait_until_on) = channel();
    let (recording, second) = std::thread::scope(|scope| {
        let watching = scope.spawn(move || {
            let never = AtomicBool::new(false);
            let tell = &mut || {
                let _ = on.send(());
            };
            watch_with(Subject::Running(target), &short(Duration::from_secs(12)), &never, tell).unwrap()
        });
        wait_until_on.recv().expect("probes go on");
        drop(first);
        // empty for a moment, as while a runtime sets up the next
        let empty = Instant::now();
        wait_for("a second to pass", || empty.elapsed() > Duration::from_secs(1));
        let second = container.run(&program, "70 600");
        (watching.join().unwrap(), second)
    });
    assert_eq!(end(&recording).reason, "duration", "{:?}", recording.events);
    let last = &recording.snapshots.last().unwrap().processes;
    assert_eq!(
        last.iter().map(|process| process.pid).collect::<Vec<_>>(),
        [second.0.id()],
        "{:?}",
        recording.events
    );
    drop(second);
}

/// The time in which a restart is waited for is none in which memory could have grown.
#[test]
fn the_last_snapshot_of_a_killed_container_is_of_its_end() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_until_killed", &["-g", "-O2"]);
    let id = format!("{:064x}", u64::from(std::process::id()) << 32);
    let container = Container::make(&id);
    let mut only = Some(container.run(&program, "100000 600"));
    wait_for("the program to be itself", || {
        only.iter().any(|child| {
            fs::read_link(format!("/proc/{}/exe", child.0.id()))
                .is_ok_and(|path| path.ends_with("leak_until_killed"))
        })
    });
    let target = Target::container(&id).unwrap();
    let mut looks = 0;
    let mut kill_later = || {
        looks += 1;
        if looks > 10 {
            drop(only.take());
        }
    };
    let never = AtomicBool::new(false);
    let settings = short(Duration::from_secs(300));
    let recording = watch_with(Subject::Running(target), &settings, &never, &mut kill_later).unwrap();
    assert_eq!(end(&recording).reason, "targetExited", "{:?}", recording.events);
    let last = recording.snapshots.last().unwrap();
    let dead_seconds = (end(&recording).time_ns - last.time_ns) / 1_000_000_000;
    assert!(dead_seconds >= 8, "{dead_seconds} s were waited after the last snapshot");
    assert!(recording.snapshots.iter().rev().skip(1).all(|snapshot| !snapshot.processes.is_empty()));
}
