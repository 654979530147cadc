use std::io::{self, Read, Write};

use super::*;
use crate::recording::{
    Allocator, Block, Cohort, End, Event, EventKind, Frame, Module, Process, Snapshot, Stack, StackCounters,
    Writer,
};

fn records() -> Vec<Record> {
    let header = Header {
        format: FORMAT.to_owned(),
        allocators: vec![Allocator { family: "glibc".to_owned(), ..Allocator::default() }],
        ..Header::default()
    };
    let frame =
        Frame { function: Some("leak".to_owned()), module: Some(1), line: Some(13), ..Frame::default() };
    let mut records = vec![
        Record::Header(header),
        Record::Module(Module { id: 1, path: "/srv/app".to_owned(), build_id: None }),
        Record::Stack(Stack { id: 1, frames: vec![frame], cut_short: None }),
    ];
    for second in 1..=5_u64 {
        let cohorts = vec![Cohort {
            number: u32::try_from(second).unwrap() - 1,
            allocated_bytes: 100,
            live_bytes: 100,
        }];
        let counters = StackCounters {
            id: 1,
            live_bytes: second * 100,
            live_count: second,
            live_error_bytes: 0,
            allocated_bytes: second * 100,
            allocated_count: second,
            missed_frees: 0,
            cohorts,
        };
        records.push(Record::Snapshot(Snapshot {
            time_ns: second * 1_000_000_000,
            processes: vec![Process { pid: 1, rss_bytes: 1 << 20, ..Process::default() }],
            stacks: vec![counters],
            ..Snapshot::default()
        }));
    }
    let what = EventKind::Detached;
    records.push(Record::Event(Event { time_ns: 5, pid: Some(1), what, detail: String::new() }));
    records.push(Record::End(End {
        time_ns: 5_000_000_000,
        blocks: vec![Block { stack: 1, ..Block::default() }],
        ..End::default()
    }));
    records
}

fn written(records: &[Record]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for record in records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap()
}

fn lines(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| serde_json::to_string(record).unwrap()).collect()
}

fn compressed(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 3).unwrap()
}

#[test]
fn what_was_written_is_read() {
    let expected = Recording::from_records(records()).unwrap();
    assert_eq!(read(written(&records()).as_slice()).unwrap(), expected);
    assert!(expected.skipped.is_empty());
    let plain = lines(&records()).join("\n");
    assert_eq!(read(plain.as_bytes()).unwrap(), expected, "as `zstdcat` prints it");
}

#[test]
fn everything_up_to_a_snapshot_is_on_disk_when_write_returns() {
    let mut output = Vec::new();
    let mut writer = Writer::new(&mut output);
    records().iter().take(6).for_each(|record| writer.write(record).unwrap()); // header, module, stack, 3 snapshots
    std::mem::forget(writer); // killed
    let recording = read(output.as_slice()).unwrap();
    assert_eq!((recording.snapshots.len(), recording.stacks.len()), (3, 1));
    assert_eq!(recording.skipped.iter().collect::<Vec<_>>(), [(Skip::CutOff, 1)]);
}

#[test]
fn a_file_cut_anywhere_gives_its_readable_prefix_or_says_there_is_none() {
    let whole = written(&records());
    let mut snapshots = 0;
    for length in 0..whole.len() {
        match read(&whole[..length]) {
            Ok(recording) => {
                assert!(recording.snapshots.len() >= snapshots, "a longer prefix holds no less");
                snapshots = recording.snapshots.len();
                let cut = u64::from(recording.end.is_none()); // the last bytes are only a checksum
                assert_eq!(recording.skipped.count(Skip::CutOff), cut);
            }
            Err(error) => {
                assert!(
                    matches!(error, ReadError::Empty | ReadError::NoHeader | ReadError::Foreign { .. }),
                    "{error}"
                );
                assert_eq!(snapshots, 0);
            }
        }
    }
    assert_eq!(snapshots, 5);
}

#[test]
fn a_damaged_frame_ends_the_recording_before_it() {
    let mut bytes = written(&records());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    let recording = read(bytes.as_slice()).unwrap();
    assert!((1..5).contains(&recording.snapshots.len()));
    assert_eq!(recording.skipped.count(Skip::CutOff), 1);
}

#[test]
fn unknown_kinds_and_unreadable_lines_are_counted_and_the_rest_is_read() {
    let mut lines = lines(&records());
    lines.insert(2, r#"{"kind":"weather","sunny":true}"#.to_owned());
    lines.insert(3, r#"{"kind":"snapshot","timeNs":"12"}"#.to_owned()); // a number as a string
    lines.insert(4, "{not json".to_owned());
    lines.insert(5, r#"{"kind":"event","timeNs":1,"what":"earthquake"}"#.to_owned()); // a newer kind of event
    let recording = read(compressed(&lines.join("\n")).as_slice()).unwrap();
    assert_eq!(
        recording.skipped.iter().collect::<Vec<_>>(),
        [(Skip::UnknownKind, 1), (Skip::UnreadableLine, 2)]
    );
    assert_eq!(recording.snapshots.len(), 5);
    assert_eq!(recording.events[0].what, EventKind::Unknown);
}

#[test]
fn foreign_files_are_named() {
    let zip = b"PK\x03\x04................".as_slice();
    let analysis = br#"{"format":"leakhound-analysis/1"}"#.as_slice();
    let other_zstd = compressed("a,b,c\n1,2,3\n");
    let no_format = compressed(r#"{"kind":"header"}"#);
    let cases: [(&[u8], &str); 8] = [
        (b"\x7fELF\x02\x01\x01", "an ELF binary"),
        (zip, "a ZIP archive"),
        (analysis, "the JSON of an analysis"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"[12:00:01] Top 10 stacks with outstanding allocations:\n", "a text log of memleak"),
        (b"hello", "text of another kind"),
        (&other_zstd, "text of another kind"),
        (&no_format, "JSON of another kind"),
    ];
    for (bytes, expected) in cases {
        match read(bytes) {
            Err(ReadError::Foreign { what }) => assert_eq!(what, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
    assert!(matches!(read(io::empty()), Err(ReadError::Empty)));
}

#[test]
fn another_version_is_refused_by_name() {
    let text = r#"{"kind":"header","format":"leakhound/2","mode":{"new":"shape"}}"#;
    match read(compressed(text).as_slice()) {
        Err(ReadError::Version { found }) => assert_eq!(found, "leakhound/2"),
        other => panic!("{other:?}"),
    }
    let newer_mode = r#"{"kind":"header","format":"leakhound/1","mode":"Quantum"}"#;
    assert!(matches!(read(compressed(newer_mode).as_slice()), Err(ReadError::Header(_))));
}

#[test]
fn bombs_are_refused_in_bounded_memory() {
    let header = lines(&records()).remove(0);
    let limits = Limits { line_bytes: 1 << 20, recording_bytes: 1 << 20 };
    let endless_line = io::repeat(b'a').take(1 << 30);
    let one_line = io::Cursor::new(format!("{header}\n{{\"kind\":\"")).chain(endless_line);
    assert!(matches!(read_within(one_line, limits), Err(ReadError::LineTooLong { line: 2, .. })));

    let many_objects =
        format!("{header}\n{{\"kind\":\"snapshot\",\"stacks\":[{}{{}}]}}\n", "{},".repeat(20_000));
    assert!(matches!(
        read_within(many_objects.as_bytes(), limits),
        Err(ReadError::LineTooLong { line: 2, .. })
    ));

    let many_texts = format!(
        r#"{{"kind":"header","format":"{FORMAT}","allocators":[{{"functions":[{}""]}}]}}"#,
        r#""","#.repeat(100_000)
    );
    assert!(matches!(
        read_within(many_texts.as_bytes(), limits),
        Err(ReadError::LineTooLong { line: 1, .. })
    ));
    let long = "x".repeat(700_000);
    let two_halves = format!(
        "{{\"kind\":\"header\",\"format\":\"{FORMAT}\",\"target\":{{\"command\":\"{long}\"}}}}\n{{\"kind\":\"module\",\"path\":\"{long}\"}}\n"
    );
    assert!(matches!(read_within(two_halves.as_bytes(), limits), Err(ReadError::TooLarge { .. })));

    let mut bomb = zstd::Encoder::new(Vec::new(), 3).unwrap();
    writeln!(bomb, "{header}").unwrap();
    for _ in 0..10 {
        bomb.write_all("{\"kind\":\"x\"}\n".repeat(100_000).as_bytes()).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 100_000, "a bomb is small");
    assert!(matches!(read_within(bomb.as_slice(), limits), Err(ReadError::TooLarge { .. })));
}

#[test]
fn a_failing_disk_is_not_taken_for_a_cut_file() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk on fire"))
        }
    }
    let whole = written(&records());
    let input = io::Cursor::new(whole[..whole.len() / 2].to_vec()).chain(Failing);
    assert!(matches!(read(input), Err(ReadError::Read(_))));
}
