//! The JSON that other tools read: a change here is a change for all of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use leakhound_report::{
    Options, analyze,
    recording::{
        Block, Cohort, End, Event, EventKind, FORMAT, Frame, Header, Module, Overhead, Process, Record,
        Recording, Settings, Snapshot, Stack, StackCounters, Target,
    },
};

const SECOND: u64 = 1_000_000_000;

/// A leak and a start-up table in a program of two modules, with everything that a recording can hold.
fn recording() -> Recording {
    let frame = |function: Option<&str>, module, line: Option<u32>, address| Frame {
        function: function.map(str::to_owned),
        module: Some(module),
        file: line.map(|_| "src/server.c".to_owned()),
        line,
        address,
        ..Frame::default()
    };
    let malloc = Frame { allocator: true, ..frame(Some("malloc"), 1, None, 0x9_b2c0) };
    let inlined = Frame { inlined: true, ..frame(Some("new_session"), 2, Some(40), 0x1234) };
    let leak = vec![
        malloc.clone(),
        inlined,
        frame(Some("accept_all"), 2, Some(71), 0x1234),
        frame(None, 2, None, 0x1080),
    ];
    let table = vec![malloc, frame(Some("load_table"), 2, Some(12), 0x1100)];
    let header = Header {
        format: FORMAT.to_owned(),
        started_unix_ms: Some(1_700_000_000_000),
        target: Target {
            launched: true,
            pids: vec![4711],
            command: "/srv/server --port 80".to_owned(),
            container: None,
            pod: None,
            memory_limit_bytes: Some(64 << 20),
        },
        settings: Settings {
            duration_ns: 12 * SECOND,
            interval_ns: SECOND,
            cohort_ns: SECOND,
            ..Settings::default()
        },
        ..Header::default()
    };
    let mut recording = Recording::new(header);
    for (id, path) in [(1, "/usr/lib/libc.so.6"), (2, "/srv/server")] {
        recording.push(Record::Module(Module { id, path: path.to_owned(), build_id: None }));
    }
    recording.push(Record::Stack(Stack { id: 1, frames: leak, cut_short: None }));
    recording.push(Record::Stack(Stack {
        id: 2,
        frames: table,
        cut_short: Some("no unwind rows".to_owned()),
    }));
    for at in 1..=12 {
        recording.push(Record::Snapshot(snapshot(at)));
    }
    recording.push(Record::Event(Event {
        time_ns: SECOND,
        pid: None,
        what: EventKind::Detached,
        detail: String::new(),
    }));
    let block = |at: u64| Block {
        stack: 1,
        address: 0x5000 + at,
        size_bytes: 1024,
        allocated_ns: at * SECOND,
        pid: 4711,
        tid: 4712,
    };
    recording.push(Record::End(End {
        time_ns: 12 * SECOND,
        reason: "duration".to_owned(),
        ended_with: None,
        overhead: Overhead {
            attach_ns: 14_000_000,
            detach_ns: 80_000_000,
            events: 1200,
            probe_ns: 1100.0,
            ..Overhead::default()
        },
        blocks: vec![block(2), block(1)],
    }));
    recording
}

fn snapshot(at: u64) -> Snapshot {
    let live = at * 100 * 1024;
    let cohort = Cohort {
        number: u32::try_from(at).unwrap() - 1,
        allocated_bytes: 100 * 1024,
        live_bytes: 100 * 1024,
    };
    let leak = StackCounters {
        id: 1,
        live_bytes: live,
        live_count: at * 100,
        live_error_bytes: 0,
        allocated_bytes: live,
        allocated_count: at * 100,
        missed_frees: 0,
        cohorts: vec![cohort],
    };
    let table = StackCounters {
        id: 2,
        live_bytes: 1 << 20,
        live_count: 1,
        live_error_bytes: 0,
        allocated_bytes: 1 << 20,
        allocated_count: 1,
        missed_frees: 0,
        cohorts: vec![Cohort { number: 0, allocated_bytes: 1 << 20, live_bytes: 1 << 20 }],
    };
    let anonymous_bytes = (4 << 20) + live;
    Snapshot {
        time_ns: at * SECOND,
        processes: vec![Process {
            pid: 4711,
            rss_bytes: anonymous_bytes + (2 << 20),
            anonymous_bytes,
            ..Process::default()
        }],
        stacks: if at == 1 { vec![leak, table] } else { vec![leak] },
        ledger: [("allocations".to_owned(), at * 100 + 1), ("blocksFull".to_owned(), 0)].into(),
        ..Snapshot::default()
    }
}

#[test]
fn the_json_is_the_contract() {
    insta::assert_json_snapshot!(analyze(&recording(), &Options::default()));
}

#[test]
fn all_frames_and_top_change_what_is_shown_and_nothing_else() {
    let default = analyze(&recording(), &Options::default());
    let shown = analyze(&recording(), &Options { all_frames: true, top: Some(1) });
    assert_eq!(shown.findings.len(), 1);
    assert_eq!(shown.findings[0].frames[0].function, "malloc");
    assert_eq!(default.findings[0].frames[0].function, "new_session");
    assert_eq!((shown.verdict, shown.totals, shown.peak), (default.verdict, default.totals, default.peak));
}

#[test]
fn an_analysis_can_be_read_back() {
    let analysis = analyze(&recording(), &Options::default());
    let json = serde_json::to_string(&analysis).unwrap();
    assert_eq!(serde_json::from_str::<leakhound_report::analysis::Analysis>(&json).unwrap(), analysis);
}
