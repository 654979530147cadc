use super::*;
use crate::recording::{Header, Record, Settings, Snapshot, StackCounters};

const SECOND: u64 = 1_000_000_000;

/// One stack, a snapshot a second, each with these (number, allocated, live) of its cohorts.
fn recording(cohort_ns: u64, snapshots: &[&[(u32, u64, u64)]]) -> Recording {
    let settings = Settings { cohort_ns, ..Settings::default() };
    let mut recording = Recording::new(Header { settings, ..Header::default() });
    for (at, cohorts) in (1..).zip(snapshots) {
        let cohort = |(number, allocated_bytes, live_bytes): &(u32, u64, u64)| Cohort {
            number: *number,
            allocated_bytes: *allocated_bytes,
            live_bytes: *live_bytes,
        };
        let cohorts = cohorts.iter().map(cohort).collect();
        let stacks = vec![StackCounters { id: 1, cohorts, ..StackCounters::default() }];
        recording.push(Record::Snapshot(Snapshot { time_ns: at * SECOND, stacks, ..Snapshot::default() }));
    }
    recording
}

#[test]
fn each_stretch_is_followed_from_its_end() {
    let recording =
        recording(SECOND, &[&[(0, 100, 90)], &[(0, 100, 50), (1, 10, 10)], &[(2, 7, 7)], &[(1, 10, 4)]]);
    let grid = Grid::over(&recording.snapshots);
    let stretches = Stretches::of(&recording, &grid).unwrap();
    let cohorts = Cohorts::of(&recording.histories()[0], &grid, &stretches);
    assert_eq!(stretches.ends, [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(cohorts.allocated, [100.0, 10.0, 7.0, 0.0]);
    assert_eq!(
        cohorts.live,
        [vec![90.0, 50.0, 50.0, 50.0], vec![10.0, 10.0, 4.0], vec![7.0, 7.0], vec![0.0]]
    );
}

#[test]
fn many_cohorts_are_put_together() {
    let recording = recording(SECOND / 100, &[&[(0, 1, 1), (3, 2, 1)], &[(0, 1, 0), (6, 4, 4), (7, 8, 8)]]);
    let grid = Grid::over(&recording.snapshots);
    let stretches = Stretches::of(&recording, &grid).unwrap();
    let cohorts = Cohorts::of(&recording.histories()[0], &grid, &stretches);
    assert_eq!(stretches.ends.len(), 200 / 4, "200 cohorts, 4 to a stretch");
    assert_eq!((cohorts.allocated[0], cohorts.allocated[1]), (3.0, 12.0));
    assert_eq!((&cohorts.live[0], &cohorts.live[1]), (&vec![2.0, 1.0], &vec![0.0, 12.0]));
}

#[test]
fn without_sense_there_are_no_stretches() {
    let cases = [
        ("no length", recording(0, &[&[(0, 1, 1)]])),
        ("no cohorts", recording(SECOND, &[&[], &[]])),
        ("no snapshots", recording(SECOND, &[])),
        ("a million cohorts", recording(1, &[&[(0, 1, 1)]])),
    ];
    for (name, recording) in cases {
        assert_eq!(Stretches::of(&recording, &Grid::over(&recording.snapshots)), None, "{name}");
    }
    let far = recording(u64::MAX / 8, &[&[(u32::MAX, 5, 5)]]);
    assert!(Stretches::of(&far, &Grid::over(&far.snapshots)).unwrap().ends.is_empty());
}
