use crate::recording::{
    Cohort, End, Header, Module, Process, Record, Recording, Skip, Snapshot, Stack, StackCounters,
};

fn counters(id: u32, live: u64, allocated: u64) -> StackCounters {
    StackCounters {
        id,
        live_bytes: live,
        live_count: 1,
        live_error_bytes: 0,
        allocated_bytes: allocated,
        allocated_count: 1,
        missed_frees: 0,
        cohorts: vec![],
    }
}

fn snapshot(time_ns: u64, stacks: Vec<StackCounters>) -> Record {
    Record::Snapshot(Snapshot { time_ns, stacks, processes: vec![Process::default()], ..Snapshot::default() })
}

fn stack(id: u32) -> Record {
    Record::Stack(Stack { id, ..Stack::default() })
}

fn assembled(records: impl IntoIterator<Item = Record>) -> Recording {
    let header = Record::Header(Header::default());
    Recording::from_records(std::iter::once(header).chain(records)).unwrap()
}

#[test]
fn a_recording_begins_with_a_header() {
    assert!(Recording::from_records([]).is_err());
    assert!(Recording::from_records([stack(1), Record::Header(Header::default())]).is_err());
}

#[test]
fn a_sound_recording_needs_no_mending() {
    let recording = assembled([
        Record::Module(Module::default()),
        stack(7),
        snapshot(1, vec![counters(7, 5, 10)]),
        snapshot(2, vec![counters(7, 6, 11)]),
        Record::End(End { time_ns: 3, ..End::default() }),
    ]);
    assert!(recording.skipped.is_empty());
    assert_eq!((recording.stacks.len(), recording.snapshots.len(), recording.duration_ns()), (1, 2, 3));
}

#[test]
fn what_contradicts_itself_is_mended_and_counted() {
    let header = || Record::Header(Header::default());
    let live_above_allocated = StackCounters {
        cohorts: vec![Cohort { number: 0, allocated_bytes: 1, live_bytes: 2 }],
        ..counters(7, 2, 2)
    };
    let end = |time_ns| Record::End(End { time_ns, ..End::default() });
    let cases = [
        (vec![header()], Skip::Repeated, 1),
        (vec![stack(7), stack(7)], Skip::Repeated, 1),
        (vec![Record::Module(Module::default()), Record::Module(Module::default())], Skip::Repeated, 1),
        (
            vec![stack(7), snapshot(1, vec![counters(7, 1, 1), counters(7, 2, 2), counters(7, 3, 3)])],
            Skip::Repeated,
            2,
        ),
        (vec![snapshot(1, vec![counters(7, 1, 1), counters(8, 1, 1)])], Skip::UnknownStack, 2),
        (vec![snapshot(5, vec![]), snapshot(4, vec![]), snapshot(5, vec![])], Skip::TimeBackwards, 1),
        (vec![snapshot(5, vec![]), end(4)], Skip::TimeBackwards, 1),
        (vec![stack(7), snapshot(1, vec![counters(7, 11, 10)])], Skip::ImpossibleCounters, 1),
        (vec![stack(7), snapshot(1, vec![live_above_allocated])], Skip::ImpossibleCounters, 1),
    ];
    for (records, skip, count) in cases {
        let recording = assembled(records);
        assert_eq!(recording.skipped.iter().collect::<Vec<_>>(), [(skip, count)]);
        let mut time = 0;
        for snapshot in &recording.snapshots {
            assert!(snapshot.time_ns >= time);
            time = snapshot.time_ns;
            for counters in &snapshot.stacks {
                assert!(recording.stacks.iter().any(|stack| stack.id == counters.id));
                assert!(counters.live_bytes <= counters.allocated_bytes);
                assert!(counters.cohorts.iter().all(|cohort| cohort.live_bytes <= cohort.allocated_bytes));
            }
        }
        assert!(recording.duration_ns() >= time);
    }
}

#[test]
fn the_last_of_repeated_counters_stands() {
    let recording =
        assembled([stack(7), snapshot(1, vec![counters(7, 1, 1), counters(7, 3, 3), counters(7, 2, 2)])]);
    assert_eq!(recording.snapshots[0].stacks, [counters(7, 2, 2)]);
}

#[test]
fn histories_turn_snapshots_into_stacks() {
    let recording = assembled([
        stack(7),
        stack(8),
        snapshot(1, vec![counters(7, 10, 10)]),
        snapshot(2, vec![counters(8, 5, 5)]),
        snapshot(3, vec![counters(7, 30, 30)]),
        snapshot(4, vec![]),
    ]);
    let histories = recording.histories();
    assert_eq!(histories[0].sample(&[0, 1, 2, 3], |counters| counters.live_bytes), [10, 10, 30, 30]);
    assert_eq!(histories[1].sample(&[0, 3], |counters| counters.live_bytes), [0, 5]);
    assert_eq!(histories[0].last().unwrap().live_bytes, 30);
}
