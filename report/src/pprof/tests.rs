use std::{io::Read, process::Command};

use flate2::read::GzDecoder;

use super::*;
use crate::{
    memleak::read_log,
    recording::{Frame, Header, Module, Record, Snapshot, Stack},
};

fn frame(function: &str, line: u32, inlined: bool) -> Frame {
    let named = !function.is_empty();
    Frame {
        function: named.then(|| function.to_owned()),
        module: Some(3),
        file: named.then(|| "/srv/app/seed.rs".to_owned()),
        line: named.then_some(line),
        address: 0x1000 + u64::from(line),
        inlined,
        allocator: function == "malloc",
    }
}

fn recording() -> Recording {
    let mut recording =
        Recording::new(Header { started_unix_ms: Some(1_700_000_000_000), ..Header::default() });
    recording.push(Record::Module(Module {
        id: 3,
        path: "/srv/app/seed".to_owned(),
        build_id: Some("c0ffee".to_owned()),
    }));
    let frames = [
        vec![
            frame("malloc", 1, false),
            frame("grow", 10, true),
            frame("serve", 10, false),
            frame("main", 20, false),
        ],
        vec![frame("malloc", 1, false), frame("", 30, false), frame("main", 20, false)],
        vec![frame("main", 21, false)],
    ];
    for (frames, id) in frames.into_iter().zip(0..) {
        recording.push(Record::Stack(Stack { id, frames, cut_short: None }));
    }
    let counters = |id, live_bytes, live_count, allocated_bytes| StackCounters {
        id,
        live_bytes,
        live_count,
        live_error_bytes: 0,
        allocated_bytes,
        allocated_count: allocated_bytes / 10,
        missed_frees: 0,
        cohorts: Vec::new(),
    };
    let stacks = vec![counters(0, 5000, 5, 9000), counters(1, 70, 7, 70), counters(2, 0, 0, 0)];
    recording.push(Record::Snapshot(Snapshot { time_ns: 10_000_000_000, stacks, ..Snapshot::default() }));
    recording
}

fn decode(recording: &Recording) -> Profile {
    let mut file = Vec::new();
    write(recording, &mut file).unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(&file[..]).read_to_end(&mut bytes).unwrap();
    Profile::decode(&bytes[..]).unwrap()
}

#[test]
fn every_stack_with_its_counters_and_lines() {
    let profile = decode(&recording());
    let string = |number: i64| profile.string_table[usize::try_from(number).unwrap()].as_str();
    let types: Vec<&str> = profile.sample_type.iter().map(|kind| string(kind.r#type)).collect();
    assert_eq!(types, ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]);
    assert_eq!(string(profile.default_sample_type), "inuse_space");
    assert_eq!(string(0), "");
    assert_eq!(profile.sample.len(), 2, "a stack without any bytes says nothing");
    assert_eq!(profile.sample[0].value, [900, 9000, 5, 5000]);
    let function = |id: u64| string(profile.function.iter().find(|function| function.id == id).unwrap().name);
    let lines = |sample: &Sample| -> Vec<Vec<(&str, i64)>> {
        let location = |id: &u64| profile.location.iter().find(|location| location.id == *id).unwrap();
        let line = |line: &profile::Line| (function(line.function_id), line.line);
        sample.location_id.iter().map(|id| location(id).line.iter().map(line).collect()).collect()
    };
    let grow = vec![("grow", 10), ("serve", 10)];
    assert_eq!(lines(&profile.sample[0]), [vec![("malloc", 1)], grow, vec![("main", 20)]]);
    assert_eq!(
        lines(&profile.sample[1]),
        [vec![("malloc", 1)], vec![("seed+0x101e", 0)], vec![("main", 20)]]
    );
    assert_eq!(profile.location.len(), 4, "the same place is there once");
    let mapping = profile.mapping[0];
    assert_eq!((string(mapping.filename), string(mapping.build_id)), ("/srv/app/seed", "c0ffee"));
    assert!(mapping.memory_limit > 0x101e && mapping.has_inline_frames);
    assert_eq!(profile.time_nanos, 1_700_000_000_000_000_000);
    assert_eq!(profile.duration_nanos, 10_000_000_000);
}

#[test]
fn a_log_does_not_know_what_was_allocated() {
    let log = include_bytes!("../../tests/data/memleak-libbpf-user.log");
    let profile = decode(&read_log(&log[..]).unwrap());
    assert_eq!(profile.sample_type.len(), 2);
    assert_eq!(profile.sample.iter().map(|sample| sample.value[1]).max(), Some(3_629_056));
}

#[test]
fn an_empty_recording_is_a_profile_too() {
    let profile = decode(&Recording::new(Header::default()));
    assert!(profile.sample.is_empty() && profile.sample_type.len() == 4);
}

/// What `go tool pprof` says of a profile; none where there is no Go.
fn go_tool_pprof(recording: &Recording, arguments: &[&str]) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("heap.pb.gz");
    write(recording, std::fs::File::create(&path).unwrap()).unwrap();
    let run = Command::new("go")
        .args(["tool", "pprof"])
        .args(arguments)
        .arg(&path)
        .env("PPROF_TMPDIR", directory.path())
        .env("PPROF_BINARY_PATH", directory.path())
        .output();
    match run {
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{error}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: `go tool pprof` cannot be run here: {error}");
            None
        }
        Err(error) => panic!("`go tool pprof` must run in CI: {error}"),
    }
}

#[test]
fn go_reads_it() {
    let Some(top) = go_tool_pprof(&recording(), &["-top", "-sample_index=inuse_space", "-unit=B"]) else {
        return;
    };
    assert!(top.contains("Type: inuse_space"), "{top}");
    let row = |name: &str| {
        let row = top.lines().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("{name}: {top}"));
        row.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row(" malloc")[0], "5070B");
    assert_eq!(row(" grow (inline)")[3], "5000B");
    assert_eq!(row(" main")[3], "5070B");
    assert_eq!(row(" seed+0x101e")[3], "70B");
    let objects = go_tool_pprof(&recording(), &["-top", "-sample_index=alloc_objects"]).unwrap();
    assert!(objects.contains("Type: alloc_objects") && objects.contains("907"), "{objects}");
    let lines = go_tool_pprof(&recording(), &["-list=^serve$|^grow$", "-sample_index=inuse_space"]).unwrap();
    assert!(lines.contains("/srv/app/seed.rs"), "{lines}");
    let raw = go_tool_pprof(&recording(), &["-raw"]).unwrap();
    assert!(raw.contains("0x0/0x101f/0x0 /srv/app/seed c0ffee"), "{raw}");
}

#[test]
fn go_reads_the_profile_of_a_log() {
    let log = include_bytes!("../../tests/data/memleak-libbpf-kernel.log");
    let recording = read_log(&log[..]).unwrap();
    let Some(top) = go_tool_pprof(&recording, &["-top", "-cum", "-unit=B"]) else { return };
    assert!(top.lines().any(|line| line.ends_with(" do_anonymous_page")), "{top}");
}
