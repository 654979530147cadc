//! Recordings as an agent makes them.

use leakhound_report::recording::{
    Cohort, End, FORMAT, Frame, Header, Module, Process, Record, Settings, Snapshot, Stack, StackCounters,
    Target, Writer,
};
use serde_json::{Value, json};

const SECOND: u64 = 1_000_000_000;
const BLOCK: u64 = 64 << 10;

/// A program that leaks 64 KiB a second in `function` for a minute, or nothing when that is empty, beside a cache that stays.
pub(crate) fn recording(function: &str) -> Vec<u8> {
    let mut records = vec![
        Record::Header(Header {
            format: FORMAT.to_owned(),
            started_unix_ms: Some(1_767_225_600_000),
            target: Target { pids: vec![4711], command: "/app/cart".to_owned(), ..Target::default() },
            settings: Settings {
                duration_ns: 60 * SECOND,
                interval_ns: 2 * SECOND,
                cohort_ns: 2 * SECOND,
                ..Settings::default()
            },
            ..Header::default()
        }),
        Record::Module(Module { id: 1, path: "/app/cart".to_owned(), build_id: None }),
        stack(2, "fill_cache"),
    ];
    if !function.is_empty() {
        records.push(stack(1, function));
    }
    for number in 1..=30_u32 {
        let blocks = 2 * u64::from(number);
        let mut stacks = vec![StackCounters {
            id: 2,
            live_bytes: 8 << 20,
            live_count: 100,
            allocated_bytes: 8 << 20,
            allocated_count: 100,
            ..StackCounters::default()
        }];
        if !function.is_empty() {
            let cohort = Cohort { number: number - 1, allocated_bytes: 2 * BLOCK, live_bytes: 2 * BLOCK };
            stacks.push(StackCounters {
                id: 1,
                live_bytes: blocks * BLOCK,
                live_count: blocks,
                allocated_bytes: blocks * BLOCK,
                allocated_count: blocks,
                cohorts: vec![cohort],
                ..StackCounters::default()
            });
        }
        let leaked = if function.is_empty() { 0 } else { blocks * BLOCK };
        let process = Process {
            pid: 4711,
            rss_bytes: (20 << 20) + leaked,
            anonymous_bytes: (12 << 20) + leaked,
            threads: 1,
            ..Process::default()
        };
        records.push(Record::Snapshot(Snapshot {
            time_ns: u64::from(number) * 2 * SECOND,
            processes: vec![process],
            stacks,
            ..Snapshot::default()
        }));
    }
    records.push(Record::End(End { time_ns: 60 * SECOND, reason: "duration".to_owned(), ..End::default() }));
    write(&records)
}

/// A program that allocates in so many places that looking at it takes a while.
pub(crate) fn large(places: u32) -> Vec<u8> {
    let mut records = vec![
        Record::Header(Header { format: FORMAT.to_owned(), ..Header::default() }),
        Record::Module(Module { id: 1, path: "/app/cart".to_owned(), build_id: None }),
    ];
    records.extend((1..=places).map(|id| stack(id, &format!("place_{id}"))));
    for number in 1..=60_u32 {
        let counters = |id: u32| StackCounters {
            id,
            live_bytes: u64::from(number * (id % 977)) << 4,
            live_count: u64::from(number),
            allocated_bytes: u64::from(number * (id % 977)) << 4,
            allocated_count: u64::from(number),
            ..StackCounters::default()
        };
        records.push(Record::Snapshot(Snapshot {
            time_ns: u64::from(number) * SECOND,
            stacks: (1..=places).map(counters).collect(),
            ..Snapshot::default()
        }));
    }
    records.push(Record::End(End { time_ns: 60 * SECOND, reason: "duration".to_owned(), ..End::default() }));
    write(&records)
}

fn stack(id: u32, function: &str) -> Record {
    let frame = |function: &str, line| Frame {
        function: Some(function.to_owned()),
        module: Some(1),
        file: Some("cart.c".to_owned()),
        line: Some(line),
        ..Frame::default()
    };
    Record::Stack(Stack { id, frames: vec![frame(function, 13), frame("main", 40)], cut_short: None })
}

fn write(records: &[Record]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for record in records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap()
}

/// What an agent says about it while it watches.
pub(crate) fn digest(function: &str, live_bytes: i64) -> Value {
    let growth = 225_i64 << 20;
    json!({
        "verdict": "LeakLikely", "confidencePercent": 60, "liveBytes": live_bytes, "liveCount": live_bytes / 65536,
        "growthBytesPerHour": growth, "attachMethod": "uprobe.session", "snapshotCount": 5, "events": 1000,
        "overhead": { "cpuPermille": 3, "events": 1000, "dropped": 0 },
        "processes": [{ "pid": 4711, "exe": "/app/cart", "allocator": "glibc" }],
        "memory": { "startBytes": 12_000_000, "endBytes": 13_000_000, "limitBytes": 1_073_741_824 },
        "findings": [{
            "rank": 1, "class": "Leak", "confidencePercent": 60, "outstandingBytes": live_bytes,
            "outstandingCount": live_bytes / 65536, "growthBytesPerHour": growth, "framesOmitted": 0,
            "frames": [{ "function": function, "module": "cart", "file": "cart.c", "line": 13 }],
        }],
    })
}
