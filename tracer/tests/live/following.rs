//! Libraries loaded later, programs replaced, and two investigations of one process.

use std::{ffi::OsStr, fs, path::PathBuf, sync::atomic::AtomicBool, time::Duration};

use leakhound_report::recording::EventKind;
use leakhound_tracer::{investigation::Subject, launch::Launched, locate::Target, process::ProcessId};

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
    let words = command(&program, &["3", again, "3", again, "60", again]);
    let recording = watch_command(&words, &short(Duration::from_secs(15))).unwrap();
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
