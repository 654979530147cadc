use super::*;

fn shown(stack: u32, bytes: u64) -> Shown {
    Shown { stack, bytes, count: bytes / 10 }
}

fn live(counters: Counters, stack: u32) -> Vec<(u64, u64)> {
    let mut now = (0, 0);
    let snapshots = counters.into_snapshots();
    snapshots
        .iter()
        .map(|snapshot| {
            if let Some(counters) = snapshot.stacks.iter().find(|counters| counters.id == stack) {
                now = (counters.live_bytes, counters.live_count);
            }
            now
        })
        .collect()
}

#[test]
fn only_what_changed_is_in_a_snapshot() {
    let mut counters = Counters::default();
    counters.record(1, &[shown(0, 100), shown(1, 0)], Absent::Gone);
    counters.record(2, &[shown(0, 100), shown(1, 50)], Absent::Gone);
    counters.record(3, &[shown(0, 100), shown(1, 50)], Absent::Gone);
    let changes: Vec<Vec<u32>> = counters
        .into_snapshots()
        .iter()
        .map(|snapshot| snapshot.stacks.iter().map(|counters| counters.id).collect())
        .collect();
    assert_eq!(changes, [vec![0, 1], vec![1], vec![]]);
}

#[test]
fn a_missing_stack_is_gone_capped_or_unknown() {
    let after = |absent| {
        let mut counters = Counters::default();
        counters.record(1, &[shown(0, 100)], Absent::Gone);
        let unknown = counters.record(2, &[], absent);
        (live(counters, 0)[1], unknown)
    };
    assert_eq!(after(Absent::Gone), ((0, 0), 0));
    assert_eq!(after(Absent::AtMost(35)), ((35, 4), 1));
    assert_eq!(after(Absent::AtMost(500)), ((100, 10), 1));
    assert_eq!(after(Absent::Unknown), ((100, 10), 1));
}

#[test]
fn thinning_keeps_the_first_and_the_last_value_and_every_change_in_between() {
    for count in 1..60 {
        let mut counters = Counters { most_snapshots: 5, ..Counters::default() };
        for at in 1..=count {
            // stack 1 changes once only, in a snapshot that may be left out
            let rare = if at >= 8 { 80 } else { 10 };
            counters.record(at, &[shown(0, at * 10), shown(1, rare)], Absent::Gone);
        }
        let snapshots = counters.clone().into_snapshots();
        assert!(snapshots.len() <= 6, "{count}");
        assert!(snapshots.is_sorted_by(|a, b| a.time_ns < b.time_ns));
        assert_eq!((snapshots[0].time_ns, snapshots[snapshots.len() - 1].time_ns), (1, count));
        for (snapshot, (bytes, _)) in snapshots.iter().zip(live(counters.clone(), 0)) {
            assert_eq!(bytes, snapshot.time_ns * 10);
        }
        for (snapshot, (bytes, _)) in snapshots.iter().zip(live(counters, 1)) {
            assert_eq!(bytes, if snapshot.time_ns >= 8 { 80 } else { 10 });
        }
    }
}
