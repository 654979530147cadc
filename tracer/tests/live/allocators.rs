//! Every allocator, linked in every way.

use std::{ffi::OsString, path::Path, process::Command, time::Duration};

use leakhound_report::recording::Recording;
use leakhound_tracer::{investigation::Subject, launch::Launched};

use crate::support::{can_probe, command, compile, installed, ledger, short, through, watch, watch_command};

const LEAKS: u64 = 3000;

fn watch_leak(program: &Path) -> Recording {
    watch_command(&command(program, &[&LEAKS.to_string(), "0"]), &short(Duration::from_secs(60))).unwrap()
}

/// The leaking function's blocks are all there, the other's are gone, and the allocator's name is right.
fn assert_leak_found(recording: &Recording, family: &str) {
    let families: Vec<&str> = recording.header.allocators.iter().map(|one| one.family.as_str()).collect();
    assert!(families.contains(&family), "{family} not in {families:?}");
    let leak = through(recording, "leak_here");
    assert_eq!((leak.allocated_count, leak.live_count), (LEAKS, LEAKS), "{family}: leaked");
    assert_eq!(leak.live_bytes, LEAKS * 100, "{family}: bytes");
    let freed = through(recording, "no_leak_here");
    assert_eq!((freed.allocated_count, freed.live_count), (LEAKS, 0), "{family}: freed");
    assert_eq!(ledger(recording, "missedFrees"), 0, "{family}");
}

#[test]
fn musl_dynamic_and_static() {
    if !can_probe() || !installed("/usr/bin/musl-gcc") {
        return;
    }
    for (name, flags) in [("leak_musl", &["-g", "-O2"][..]), ("leak_musl_static", &["-g", "-O2", "-static"])]
    {
        let recording = watch_leak(&compile("musl-gcc", "leak.c", name, flags));
        assert_leak_found(&recording, "musl");
    }
}

#[test]
fn glibc_static() {
    if can_probe() {
        assert_leak_found(
            &watch_leak(&compile("cc", "leak.c", "leak_static", &["-g", "-O2", "-static"])),
            "glibc",
        );
    }
}

#[test]
fn a_stripped_static_program_through_its_debug_file() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_stripped", &["-g", "-O2", "-static", "-Wl,--build-id"]);
    let recording = watch_leak(&program);
    let build_id = recording.modules.iter().find_map(|module| module.build_id.clone()).expect("a build id");
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debug");
    let place = store.join(".build-id").join(&build_id[..2]);
    std::fs::create_dir_all(&place).unwrap();
    std::fs::copy(&program, place.join(format!("{}.debug", &build_id[2..]))).unwrap();
    assert!(Command::new("strip").arg(&program).status().unwrap().success());

    let mut settings = short(Duration::from_secs(60));
    settings.debug_dirs = vec![store];
    let words = command(&program, &[&LEAKS.to_string(), "0"]);
    assert_leak_found(&watch_command(&words, &settings).unwrap(), "glibc");

    settings.debug_dirs.clear();
    let error = watch_command(&words, &settings).unwrap_err().to_string();
    assert!(
        error.contains("no known allocator")
            && error.contains("leak_stripped")
            && error.contains("--mode growth"),
        "{error}"
    );
}

#[test]
fn preloaded_allocators_are_followed() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_preload", &["-g", "-O2"]);
    for (library, family) in [
        ("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "jemalloc"),
        ("/usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0", "mimalloc"),
        ("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", "tcmalloc"),
    ] {
        if !installed(library) {
            continue;
        }
        // Not through `env`: the program must be ours from its first instruction on, and exec of another would be too late.
        let words = command(&program, &[&LEAKS.to_string(), "0"]);
        let recording = watch_with_preload(&words, library);
        assert_leak_found(&recording, family);
        assert!(recording.header.allocators.iter().any(|one| one.family == "glibc"), "{family} only");
    }
}

/// new and delete are malloc and free in one allocator, and functions of their own in another: each block counts once.
#[test]
fn every_form_of_new_comes_out_even_in_every_allocator() {
    const ROUNDS: u64 = 5000;
    const FORMS: u64 = 5;
    if !can_probe() {
        return;
    }
    let program = compile("c++", "closed_loop.cpp", "closed_loop_cpp", &["-g", "-O2", "-std=c++17"]);
    let words = command(&program, &[&ROUNDS.to_string(), "2"]);
    for library in [
        "",
        "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
        "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0",
        "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4",
    ] {
        if !library.is_empty() && !installed(library) {
            continue;
        }
        let recording = watch_with_preload(&words, library);
        let seen = through(&recording, "allocate_and_free(long)");
        assert_eq!(seen.allocated_count, ROUNDS * 2 * FORMS, "{library}: allocated");
        assert_eq!((seen.live_count, seen.live_bytes), (0, 0), "{library}: live");
        assert_eq!(ledger(&recording, "missedFrees"), 0, "{library}");
    }
}

fn watch_with_preload(words: &[OsString], library: &str) -> Recording {
    let environment = [(OsString::from("LD_PRELOAD"), OsString::from(library))];
    let launched = Launched::spawn_with(words, false, &environment).unwrap();
    watch(Subject::Launched(launched), &short(Duration::from_secs(60))).unwrap()
}

/// An allocator that a Rust program brings along has prefixed names in its symbol table, and C's own is beside it.
#[test]
fn rust_programs_with_allocators_of_their_own() {
    if !can_probe() {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rust-allocators");
    let manifest =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/programs/rust-allocators/Cargo.toml");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--release", "--locked", "--manifest-path"]).arg(manifest);
    assert!(build.arg("--target-dir").arg(&folder).status().unwrap().success());
    for family in ["jemalloc", "mimalloc"] {
        let recording = watch_leak(&folder.join("release").join(format!("leak-{family}")));
        assert_leak_found(&recording, family);
        assert_leak_found(&recording, "glibc");
        for (function, bytes) in [
            ("leak_zeroed", LEAKS * 100),
            ("leak_grown", LEAKS * 100),
            ("leak_aligned", LEAKS * 256),
            ("leak_by_c", LEAKS * 100),
        ] {
            let seen = through(&recording, function);
            assert_eq!((seen.live_count, seen.live_bytes), (LEAKS, bytes), "{family}: {function}");
        }
    }
}
