use proptest::prelude::*;

use super::*;
use crate::recording::{Frame, Header, Record, Snapshot, Stack, StackCounters};

fn recording(stacks: &[(&[&str], u64, u64)]) -> Recording {
    let mut recording = Recording::new(Header::default());
    let counters = |at: usize, live_bytes| StackCounters {
        id: u32::try_from(at).unwrap(),
        live_bytes,
        live_count: live_bytes / 10,
        allocated_bytes: live_bytes * 2,
        allocated_count: live_bytes,
        ..StackCounters::default()
    };
    for (at, (names, ..)) in stacks.iter().enumerate() {
        let frame = |name: &&str| Frame {
            function: (!name.is_empty()).then(|| (*name).to_owned()),
            allocator: *name == "malloc",
            address: 0x12,
            ..Frame::default()
        };
        let id = u32::try_from(at).unwrap();
        recording.push(Record::Stack(Stack {
            id,
            frames: names.iter().map(frame).collect(),
            cut_short: None,
        }));
    }
    for snapshot in 0..2 {
        let counters = stacks
            .iter()
            .enumerate()
            .map(|(at, (_, first, last))| counters(at, if snapshot == 0 { *first } else { *last }))
            .collect();
        recording.push(Record::Snapshot(Snapshot {
            time_ns: snapshot,
            stacks: counters,
            ..Snapshot::default()
        }));
    }
    recording
}

fn folded(recording: &Recording, weight: Weight, all_frames: bool) -> String {
    let mut out = Vec::new();
    write(recording, Options { weight, all_frames }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn outermost_first_each_stack_once_without_the_allocator() {
    let recording = recording(&[
        (&["malloc", "grow", "main"], 100, 300),
        (&["malloc", "grow", "main"], 0, 10),
        (&["malloc", "shrink", "main"], 500, 50),
        (&["malloc", "freed", "main"], 20, 0),
        (&["", "main"], 1, 1),
        (&[], 0, 7),
    ]);
    let lines = |weight| folded(&recording, weight, false);
    assert_eq!(lines(Weight::LiveBytes), "[unknown] 7\nmain;0x12 1\nmain;grow 310\nmain;shrink 50\n");
    assert_eq!(lines(Weight::LiveCount), "main;grow 31\nmain;shrink 5\n");
    assert_eq!(lines(Weight::Growth), "[unknown] 7\nmain;grow 210\n");
    assert!(lines(Weight::Allocated).starts_with("[unknown] 14\nmain;0x12 2\n"));
    assert!(folded(&recording, Weight::Growth, true).contains("main;grow;malloc 210\n"));
}

#[test]
fn names_cannot_change_the_structure() {
    for (name, escaped) in [
        ("f(int; long)", "f(int: long)"),
        ("a\nb\t\0c", "a b c"),
        (" x  y ", "x y"),
        ("f 12", "f_12"),
        ("operator new(unsigned long)", "operator new(unsigned long)"),
        ("# note", "_# note"),
        ("\n", "[unknown]"),
    ] {
        assert_eq!(escape(name), escaped);
    }
}

/// A flame-graph tool draws what was folded.
#[test]
fn inferno_draws_the_frames() {
    let recording = recording(&[
        (&["malloc", "shop::Cache<int, long>::insert(int; long) 12", "main"], 0, 300),
        (&["malloc", "<script>alert(1)</script>", "main"], 0, 700),
    ]);
    let folded = folded(&recording, Weight::LiveBytes, false);
    let mut svg = Vec::new();
    let mut options = inferno::flamegraph::Options::default();
    options.count_name = "bytes".to_owned();
    inferno::flamegraph::from_lines(&mut options, folded.lines(), &mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    assert!(svg.contains("shop::Cache&lt;int, long&gt;::insert(int: long)_12 (300 bytes, 30.00%)"), "{svg}");
    assert!(svg.contains("&lt;script&gt;alert(1)&lt;/script&gt; (700 bytes, 70.00%)"));
    assert!(svg.contains("main (1,000 bytes, 100.00%)"));
}

proptest! {
    #[test]
    fn any_names_make_one_line_each_that_reads_back(names in proptest::collection::vec(any::<String>(), 1..6)) {
        let stack: Vec<&str> = names.iter().map(String::as_str).collect();
        let folded = folded(&recording(&[(&stack, 0, 42)]), Weight::LiveBytes, true);
        prop_assert_eq!(folded.lines().count(), 1);
        let (frames, weight) = folded.trim_end().rsplit_once(' ').unwrap();
        prop_assert_eq!(weight, "42");
        prop_assert_eq!(frames.split(';').count(), names.len());
        let second = frames.rsplit_once(' ').map(|(_, number)| number.parse::<u64>().is_ok());
        prop_assert!(second != Some(true), "{:?}", frames);
    }
}
