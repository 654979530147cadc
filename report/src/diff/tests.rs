use super::*;
use crate::{
    memleak::read_log,
    recording::{Event, EventKind, Frame, Header, Module, Record, Snapshot, Stack, StackCounters},
};

const HOUR: u64 = 3_600_000_000_000;

/// A recording of a program in `module`: per stack its functions, and live bytes at the first and at the last snapshot.
fn recording(module: &str, hours: u64, stacks: &[(&[&str], u64, u64)]) -> Recording {
    let mut recording = Recording::new(Header::default());
    recording.push(Record::Module(Module { id: 0, path: module.to_owned(), build_id: None }));
    for ((names, ..), id) in stacks.iter().zip(0..) {
        let frame = |(at, name): (u64, &&str)| Frame {
            function: (*name != "?").then(|| (*name).to_owned()),
            module: Some(0),
            file: Some("seed.rs".to_owned()),
            line: Some(id + 1),
            address: hours * 1000 + at,
            allocator: *name == "malloc",
            ..Frame::default()
        };
        let frames = (0..).zip(*names).map(frame).collect();
        recording.push(Record::Stack(Stack { id, frames, cut_short: None }));
    }
    for time in 0..=hours {
        let live = |first: u64, last: u64| if time == hours { last } else { first };
        let stacks = stacks.iter().zip(0..).map(|((_, first, last), id)| StackCounters {
            id,
            live_bytes: live(*first, *last),
            live_count: 1,
            live_error_bytes: 0,
            allocated_bytes: live(*first, *last) * 2,
            allocated_count: 2,
            missed_frees: 0,
            cohorts: Vec::new(),
        });
        recording.push(Record::Snapshot(Snapshot {
            time_ns: time * HOUR,
            stacks: stacks.collect(),
            ..Snapshot::default()
        }));
    }
    recording
}

fn changes(diff: &Diff) -> Vec<(Change, &str, f64)> {
    let mut changes = Vec::new();
    for StackDiff { change, frames, growth_difference_bytes_per_hour, .. } in &diff.stacks {
        changes.push((*change, &*frames[0].function, *growth_difference_bytes_per_hour));
    }
    changes
}

#[test]
fn stacks_are_matched_by_name_and_compared_per_hour() {
    let before = recording(
        "/opt/v1/libshop.so.1",
        2,
        &[
            (&["malloc", "steady", "main"], 100, 2100),
            (&["malloc", "worse", "main"], 0, 2000),
            (&["malloc", "better", "main"], 0, 8000),
            (&["malloc", "fixed", "main"], 0, 600),
            (&["malloc", "never", "main"], 0, 0),
        ],
    );
    let after = recording(
        "/opt/v2/libshop.so.2",
        4,
        &[
            (&["malloc", "operator new", "new", "main"], 0, 400),
            (&["malloc", "worse.part.0", "main"], 0, 10_000),
            (&["malloc", "worse", "main"], 0, 10_000),
            (&["malloc", "better", "main"], 0, 4000),
            (&["malloc", "steady", "main"], 100, 4200),
        ],
    );
    let diff = diff(&before, &after);
    assert_eq!(
        changes(&diff),
        [
            (Change::Grew, "worse.part.0", 4000.0),
            (Change::Shrank, "better", -3000.0),
            (Change::Went, "fixed", -300.0),
            (Change::Appeared, "operator new", 100.0),
            (Change::Same, "steady", 25.0),
        ]
    );
    let worse = &diff.stacks[0];
    assert_eq!(worse.before.unwrap().live_bytes, 2000);
    assert_eq!(worse.after.unwrap().live_bytes, 20_000);
    assert_eq!(worse.after.unwrap().allocated_bytes_per_hour, Some(10_000.0));
    assert_eq!(worse.frames[0].module, "/opt/v2/libshop.so.2");
    assert_eq!(diff.before.total.live_bytes, 12_700);
    assert_eq!(diff.after.total.growth_bytes_per_hour, 7125.0);
    assert!(diff.caveats.is_empty());
}

#[test]
fn functions_without_names_are_told_apart_by_their_callers_only() {
    let before = recording("/srv/app", 1, &[(&["?", "main"], 0, 10), (&["?", "serve"], 0, 20)]);
    let after = recording("/srv/app", 1, &[(&["?", "main"], 0, 10), (&["?", "serve"], 0, 20)]);
    let diff = diff(&before, &after);
    assert!(diff.stacks.len() == 2 && diff.stacks.iter().all(|stack| stack.change == Change::Same));
}

#[test]
fn caveats_say_why_a_comparison_is_weak() {
    let one = recording("/srv/app", 1, &[(&["main"], 0, 10)]);
    let mut other = recording("/srv/app", 5, &[(&["main"], 0, 10)]);
    other.header.settings.sample_period_bytes = 512 << 10;
    assert_eq!(diff(&one, &other).caveats, [Caveat::DifferentSampling, Caveat::DifferentDurations]);
    let log = include_bytes!("../../tests/data/memleak-libbpf-kernel.log");
    let kernel = read_log(&log[..]).unwrap();
    let empty = Recording::default();
    let diff = diff(&kernel, &empty);
    assert_eq!(diff.caveats, [Caveat::DifferentModes, Caveat::LargestStacksOnly, Caveat::NoGrowth]);
    assert!(diff.stacks.iter().all(|stack| stack.change == Change::Went));
}

/// A stack that a sample knows badly, or did not draw, has not changed for that.
#[test]
fn what_a_sample_may_have_missed_is_no_change() {
    let all = recording(
        "/srv/app",
        1,
        &[
            (&["small", "main"], 0, 50_000),
            (&["unclear", "main"], 0, 200_000),
            (&["large", "main"], 0, 9_000_000),
        ],
    );
    let mut sampled = recording("/srv/app", 1, &[(&["unclear", "main"], 0, 320_000)]);
    sampled.header.settings.sample_period_bytes = 64 << 10;
    sampled.snapshots[1].stacks[0].live_error_bytes = 143_000;
    let found = diff(&all, &sampled);
    assert_eq!(
        changes(&found),
        [
            (Change::Went, "large", -9_000_000.0),
            (Change::Same, "unclear", 120_000.0),
            (Change::Same, "small", -50_000.0),
        ]
    );
    assert_eq!((found.after.sample_period_bytes, found.after.total.live_error_bytes), (65536, 143_000));
    sampled.snapshots[1].stacks[0].live_error_bytes = 50_000;
    assert_eq!(changes(&diff(&all, &sampled))[1].0, Change::Grew);
}

#[test]
fn a_run_that_followed_less_in_its_course_is_no_full_one() {
    let one = recording("/srv/app", 1, &[(&["main"], 0, 10)]);
    let mut other = one.clone();
    let (what, detail) = (EventKind::BudgetStep, String::new());
    other.push(Record::Event(Event { time_ns: 1, pid: None, what, detail }));
    let found = diff(&one, &other);
    assert_eq!(found.caveats, [Caveat::DifferentSampling]);
    assert!(found.after.followed_less && !found.before.followed_less);
}

/// The same program in two logs, one of each tool: other addresses, other names of modules, demangled or not.
#[test]
fn logs_of_both_tools_match() {
    let read = |log: &[u8]| read_log(log).unwrap();
    let bcc = read(include_bytes!("../../tests/data/memleak-bcc-command.log"));
    let libbpf = read(include_bytes!("../../tests/data/memleak-libbpf-cpp.log"));
    let diff = diff(&bcc, &libbpf);
    assert_eq!(diff.stacks.iter().filter(|stack| stack.before.is_some() && stack.after.is_some()).count(), 3);
    assert_eq!(diff.stacks.len(), 3, "two calls in one function are one stack");
    assert_eq!(diff.caveats, [Caveat::LargestStacksOnly]);
}

#[test]
fn the_json_is_camel_case() {
    let before = recording("/srv/app", 1, &[(&["main"], 0, 10)]);
    let after = recording("/srv/app", 2, &[(&["main"], 0, 40)]);
    let mut diff = diff(&before, &after);
    diff.stacks[0].frames.clear();
    insta::assert_json_snapshot!(diff);
}
