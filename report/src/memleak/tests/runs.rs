//! Several runs in one log, clocks, and logs too long to keep.

use super::*;

#[test]
fn the_longest_of_several_runs_is_read() {
    let short = bcc(10, &[("1:00:00", &[(900, "a")]), ("1:00:05", &[(950, "a")])]);
    let long = bcc(10, &[("2:00:00", &[(10, "a")]), ("2:00:05", &[(20, "a")]), ("2:00:10", &[(30, "a")])]);
    for log in [format!("{short}{long}"), format!("{long}{short}"), format!("{short}{long}{short}")] {
        let recording = read(&log);
        assert_eq!(live(&recording, "a"), [10, 20, 30]);
        let others = (log.len() / short.len()) as u64 - 1;
        assert_eq!(lost(&recording, "otherRunInLog"), others);
        assert_eq!(lost(&recording, "snapshotOfOtherRun"), 2 * others);
    }
}

#[test]
fn runs_of_both_tools_in_one_log_stay_apart() {
    let recording = read(&format!("{USER_LOG}{COMBINED_LOG}"));
    assert_eq!(recording.header.source, Source::MemleakBcc, "the later of two that are equally long");
    assert!(recording.skipped.is_empty());
    assert_eq!(recording, {
        let mut alone = read(COMBINED_LOG);
        let ledger = &mut alone.snapshots.last_mut().unwrap().ledger;
        ledger.extend([("otherRunInLog".to_owned(), 1), ("snapshotOfOtherRun".to_owned(), 3)]);
        alone
    });
}

#[test]
fn a_run_over_midnight_goes_on() {
    let log = bcc(10, &[("23:59:57", &[(10, "a")]), ("0:0:2", &[(20, "a")]), ("0:0:7", &[(30, "a")])]);
    let recording = read(&log);
    let times: Vec<u64> =
        recording.snapshots.iter().map(|snapshot| snapshot.time_ns / 1_000_000_000).collect();
    assert_eq!(times, [5, 10, 15]);
    assert_eq!(lost(&recording, "clockJump"), 0);
    assert_eq!(recording.end.as_ref().unwrap().time_ns, 15_000_000_000);
}

#[test]
fn a_log_without_its_head_begins_with_the_next_snapshot() {
    let log: String = USER_LOG.split_inclusive('\n').skip(8).collect();
    let recording = read(&log);
    assert_eq!(recording.snapshots.len(), 2);
    assert_eq!(lost(&recording, "lineOutsideSnapshot"), 9);
    assert_eq!(recording.header.source, Source::MemleakLibbpf);
}

#[test]
fn a_heading_torn_apart_does_not_add_two_snapshots_together() {
    let log = USER_LOG.replacen("[1:13:3] Top 3 stacks", "[1:13:served 7 requests\n3] Top 3 stacks", 1);
    let recording = read(&log);
    assert_eq!(recording.snapshots.len(), 2);
    assert_eq!(live(&recording, "third_leak"), [1_212_416, 3_629_056]);
    assert_eq!(lost(&recording, "stackDamagedInLog"), 3);
}

/// Snapshots are left out in steps, and what is left still has the first and the last value.
#[test]
fn a_very_long_log_is_thinned() {
    let mut log = "Attaching to pid 7, Ctrl+C to quit.\n".to_owned();
    let count = 40_001_u64;
    for at in 0..count {
        let (hour, minute, second) = (at / 3600 % 24, at / 60 % 60, at % 60);
        write!(
            log,
            "[{hour:02}:{minute:02}:{second:02}] Top 10 stacks with outstanding allocations:\n\
             \t{} bytes in 1 allocations from stack\n\t\ta+0x1 [app]\n",
            at + 1
        )
        .unwrap();
    }
    let recording = read(&log);
    assert!((4_000..=16_385).contains(&recording.snapshots.len()), "{}", recording.snapshots.len());
    assert_eq!(lost(&recording, "snapshotThinned"), count - recording.snapshots.len() as u64);
    let live = live(&recording, "a");
    assert_eq!((live.first(), live.last()), (Some(&1), Some(&count)));
    assert!(live.is_sorted());
    assert_eq!(recording.snapshots.last().unwrap().time_ns, count * 1_000_000_000);
}
