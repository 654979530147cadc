use super::*;
use crate::{
    analysis::{series::Grid, totals},
    recording::{Header, Record, Recording, StackCounters},
};

const MIB: u64 = 1 << 20;

/// Twelve snapshots a second apart: live bytes of two stacks, and memory of (pid, anonymous, mapped).
fn reconciled(
    live: impl Fn(u64) -> [u64; 2],
    memory: impl Fn(u64) -> Vec<(u32, u64, u64)>,
) -> Reconciliation {
    sampled(live, memory, 0.0)
}

fn sampled(
    live: impl Fn(u64) -> [u64; 2],
    memory: impl Fn(u64) -> Vec<(u32, u64, u64)>,
    blur: f64,
) -> Reconciliation {
    let mut recording = Recording::new(Header::default());
    for at in 0..12 {
        let stacks = (1..).zip(live(at)).map(|(id, live_bytes)| {
            let blocks = live_bytes / 1024;
            StackCounters {
                id,
                live_bytes,
                live_count: blocks,
                allocated_count: blocks,
                ..StackCounters::default()
            }
        });
        let processes = memory(at).into_iter().map(|(pid, anonymous_bytes, mapped)| Process {
            pid,
            anonymous_bytes,
            rss_bytes: anonymous_bytes + mapped,
            ..Process::default()
        });
        recording.push(Record::Snapshot(Snapshot {
            time_ns: (at + 1) * 1_000_000_000,
            stacks: stacks.collect(),
            processes: processes.collect(),
            ..Snapshot::default()
        }));
    }
    let grid = Grid::over(&recording.snapshots);
    let histories = recording.histories();
    let series: Vec<Series<'_>> = histories.iter().map(|history| Series::of(history, &grid)).collect();
    let timeline = totals::timeline(&recording.snapshots);
    Reconciliation::of(&recording.snapshots, &timeline, &series, blur).unwrap()
}

fn totals(freed_bytes: u64) -> Totals {
    Totals { freed_bytes, ..Totals::default() }
}

#[test]
fn the_memory_of_a_target_that_has_ended_is_what_it_held_before() {
    let leak = |at: u64| [at.min(9) * 5 * MIB, 0];
    let memory = reconciled(leak, |at| if at < 10 { vec![(1, (10 + at * 5) * MIB, 0)] } else { Vec::new() });
    assert!(
        memory.sentence().unwrap().starts_with("Of +45.0 MiB anonymous memory"),
        "{:?}",
        memory.sentence()
    );
}

#[test]
fn a_leak_explains_the_memory_it_takes() {
    let memory = reconciled(|at| [at * 5 * MIB, at * MIB / 4], |at| vec![(1, (10 + at * 5) * MIB, 3 * MIB)]);
    assert!(!memory.is_material(memory.unexplained), "{memory:?}");
    assert_eq!(
        memory.sentence().unwrap(),
        "Of +55.0 MiB anonymous memory, 55.0 MiB are explained by the stack that grew the most."
    );
}

#[test]
fn what_was_freed_and_is_still_resident_is_retained() {
    let memory = reconciled(
        |at| [if at < 6 { at * 20 * MIB } else { MIB }, 0],
        |at| vec![(1, (10 + at.min(5) * 20) * MIB, 3 * MIB)],
    );
    assert!(memory.is_material(memory.unexplained));
    assert!(memory.is_retained(100 * MIB, &totals(99 * MIB)));
    assert!(!memory.growing, "it stays where it is");
    assert_eq!(
        memory.sentence().unwrap(),
        "Of +100 MiB anonymous memory, 1.00 MiB are explained by the stack that grew the most."
    );
}

#[test]
fn turning_over_a_heap_can_leave_fragments_but_not_any_amount() {
    let memory = reconciled(|_| [50 * MIB, 0], |at| vec![(1, (60 + at * 5) * MIB, 0)]);
    assert!(memory.is_retained(50 * MIB, &totals(1000 * MIB)), "churned twenty times over");
    assert!(!memory.is_retained(50 * MIB, &totals(60 * MIB)), "hardly churned");
    assert!(!memory.is_retained(5 * MIB, &totals(1000 * MIB)), "more than the heap ever was");
}

#[test]
fn memory_past_the_heap_is_unexplained_and_goes_on() {
    let memory = reconciled(|_| [MIB, 0], |at| vec![(1, (10 + at * 4) * MIB, 3 * MIB)]);
    assert!(
        memory.growing && memory.is_material(memory.unexplained) && !memory.is_retained(MIB, &totals(MIB))
    );
    let sentence = "Anonymous memory grew by 44.0 MiB, and live bytes explain none of it.";
    assert_eq!(memory.sentence().unwrap(), sentence);

    let start_up = reconciled(|_| [MIB, 0], |at| vec![(1, (10 + at.min(3) * 14) * MIB, 3 * MIB)]);
    assert!(!start_up.growing);

    let files = reconciled(|_| [MIB, 0], |at| vec![(1, 10 * MIB, (3 + at * 4) * MIB)]);
    assert!(files.mapped_growing && files.is_material(files.mapped) && !files.growing);
}

#[test]
fn a_new_process_brings_its_memory_along() {
    let memory = reconciled(
        |_| [MIB, 0],
        |at| if at < 6 { vec![(1, 10 * MIB, 0)] } else { vec![(1, 10 * MIB, 0), (2, 500 * MIB, 0)] },
    );
    assert_eq!((memory.changed, memory.unexplained), (0.0, 0.0));
    let one_less = reconciled(
        |_| [MIB, 0],
        |at| if at < 6 { vec![(1, 10 * MIB, 0), (2, (9 + at) * MIB, 0)] } else { vec![(1, 10 * MIB, 0)] },
    );
    assert_eq!(one_less.changed, 0.0);
}

#[test]
fn untouched_memory_is_not_called_explained() {
    let memory = reconciled(|at| [at * 10 * MIB, 0], |at| vec![(1, (10 + at) * MIB, 0)]);
    assert!(
        memory
            .sentence()
            .unwrap()
            .starts_with("Live bytes grew by 110 MiB and anonymous memory by only 11.0 MiB")
    );
    assert_eq!(reconciled(|_| [MIB, 0], |_| vec![(1, MIB, 0)]).sentence(), None);
}

#[test]
fn what_a_sample_may_have_missed_is_not_called_unexplained() {
    let memory = |blur| sampled(|_| [0, 0], |at| vec![(1, (10 + at) * MIB, 0)], blur);
    let coarse = memory(12.0 * MIB as f64);
    assert!(coarse.unexplained <= 0.0 && coarse.growing, "{coarse:?}");
    assert_eq!(
        coarse.sentence().unwrap(),
        "Anonymous memory grew by 11.0 MiB and live bytes by 0 B: no more apart than the sample may be wrong (12.0 MiB)."
    );
    let fine = memory(2.0 * MIB as f64);
    assert!(fine.unexplained > 8.9 * MIB as f64);
    assert!(fine.sentence().unwrap().ends_with("live bytes explain none of it."));
}
