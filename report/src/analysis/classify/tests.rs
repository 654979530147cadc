use super::*;
use crate::{
    analysis::{
        cohort::Stretches,
        series::{Grid, Series},
    },
    recording::{Cohort, Header, Mode, Record, Recording, Settings, Snapshot, StackCounters},
};

const SECOND: u64 = 1_000_000_000;

/// A stack with these live bytes at one snapshot a second; `cohorts` gives what is left of each cohort then, if anything.
fn observe(live: &[u64], mode: Mode, cohorts: Option<&dyn Fn(usize, usize) -> u64>) -> Decision {
    let settings = Settings { cohort_ns: SECOND, ..Settings::default() };
    let mut recording = Recording::new(Header { mode, settings, ..Header::default() });
    for (at, live_bytes) in live.iter().enumerate() {
        let of = |number: usize| {
            let live_bytes = cohorts.map_or(0, |left| left(number, at));
            Cohort { number: u32::try_from(number).unwrap(), allocated_bytes: 1 << 40, live_bytes }
        };
        let cohorts = if cohorts.is_some() { (0..=at).map(of).collect() } else { Vec::new() };
        let counters = StackCounters { id: 1, live_bytes: *live_bytes, cohorts, ..StackCounters::default() };
        let time_ns = (at as u64 + 1) * SECOND;
        recording.push(Record::Snapshot(Snapshot { time_ns, stacks: vec![counters], ..Snapshot::default() }));
    }
    judged(&recording)
}

/// The first stack of a recording.
fn judged(recording: &Recording) -> Decision {
    let grid = Grid::over(&recording.snapshots);
    let histories = recording.histories();
    let stretches = Stretches::of(recording, &grid);
    let mode = recording.header.mode;
    classify(&Observation::of(&Series::of(&histories[0], &grid), &grid, stretches.as_ref(), mode))
}

fn series(count: u64, live: impl Fn(u64) -> u64) -> Vec<u64> {
    (1..=count).map(live).collect()
}

/// Swings by up to 50 in a fixed way that looks random.
fn noise(at: u64) -> u64 {
    (at * 7919 + at * at * 104_729) % 101
}

/// A cache of 100,000 bytes that fills by chance.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 100,000")]
fn filled(at: u64, scale: f64) -> u64 {
    (100_000.0 * (1.0 - (-(at as f64) / scale).exp())) as u64
}

/// Live bytes alone, as a text log has them.
#[test]
fn live_bytes_alone() {
    let cases: [(&str, Vec<u64>, Class); 20] = [
        ("one snapshot", vec![5], Class::Inconclusive),
        ("two snapshots", vec![5, 10], Class::Inconclusive),
        ("three, each higher in proportion", vec![10, 20, 30], Class::Suspected),
        ("three, each a little higher", vec![1000, 1001, 1002], Class::Inconclusive),
        ("four, each higher", vec![10, 20, 30, 40], Class::Suspected),
        ("four, level", vec![10, 10, 10, 10], Class::Plateau),
        ("never live", vec![0; 10], Class::Transient),
        ("line", series(12, |at| 1000 * at), Class::Leak),
        ("line in noise", series(30, |at| 100 * at + noise(at)), Class::Leak),
        ("line in much noise", series(40, |at| 20 * at + noise(at)), Class::Suspected),
        ("cache filling up", series(30, |at| filled(at, 10.0)), Class::Saturating),
        ("full early", series(20, |at| at.min(4) * 1000), Class::Plateau),
        ("level in noise", series(30, |at| 1000 + noise(at)), Class::Plateau),
        ("purged", series(24, |at| at % 6 * 1000), Class::Sawtooth),
        ("purged less each time", series(24, |at| at % 6 * 1000 + at / 6 * 2500), Class::Suspected),
        ("one jump", series(20, |at| if at < 12 { 1000 } else { 9000 }), Class::Step),
        ("early jump", series(20, |at| if at < 3 { 1000 } else { 9000 }), Class::Plateau),
        ("four jumps", series(20, |at| at / 5 * 1000 + 100), Class::Step),
        ("came and went", series(20, |at| if at < 12 { at * 100 } else { 0 }), Class::Transient),
        ("start-up and then a leak", series(40, |at| at.min(5) * 100_000 + at * 2000), Class::Leak),
    ];
    for (name, live, expected) in cases {
        let decision = observe(&live, Mode::Heap, None);
        assert_eq!(decision.class, expected, "{name}: {}", decision.because);
    }
}

/// The same live bytes mean different things by what became of the blocks.
#[test]
fn cohorts_decide() {
    let all_stay = |_: usize, _: usize| 1000;
    let all_die = |born: usize, at: usize| if at > born + 2 { 0 } else { 1000 };
    let few_stay = |born: usize, at: usize| if at > born { 16 } else { 50_000 + noise(at as u64) };
    let first_stays = |born: usize, _: usize| if born == 0 { 1 << 20 } else { 0 };
    let some_stay = |born: usize, _: usize| if born % 6 == 1 { 500 } else { 0 };
    let dying_down = |born: usize, _: usize| filled(born as u64 + 1, 4.0) - filled(born as u64, 4.0);
    type Left<'a> = &'a dyn Fn(usize, usize) -> u64;
    let line = series(16, |at| 1000 * at);
    let churn = series(16, |at| 50_000 + 10 * noise(at));
    let cases: [(&str, &[u64], Left<'_>, Class); 8] = [
        ("line of blocks that stay", &line, &all_stay, Class::Leak),
        ("line of blocks that die: a queue", &line, &all_die, Class::Suspected),
        ("churn in which a few stay", &churn, &few_stay, Class::Leak),
        ("churn in which all die", &churn, &all_die, Class::Plateau),
        ("churn over a start-up", &churn, &first_stays, Class::Plateau),
        ("churn with a block now and then", &churn, &some_stay, Class::Plateau),
        ("churn over a cache that fills", &churn, &dying_down, Class::Plateau),
        ("five snapshots of blocks that stay", &line[..5], &all_stay, Class::Suspected),
    ];
    for (name, live, left, expected) in cases {
        let decision = observe(live, Mode::Heap, Some(left));
        assert_eq!(decision.class, expected, "{name}: {}", decision.because);
    }
}

#[test]
fn growth_mode_never_says_leak() {
    for count in [3, 8, 12, 60] {
        let decision = observe(&series(count, |at| 4096 * at), Mode::Growth, None);
        assert_eq!(decision.class, Class::Suspected, "{count} snapshots: {}", decision.because);
    }
}

#[test]
fn growth_mode_suspects_what_stays_and_says_what_it_cannot_see() {
    let decision = observe(&series(20, |at| 4096 * at), Mode::Growth, Some(&|_, _| 4096));
    assert_eq!(decision.class, Class::Suspected, "{}", decision.because);
    assert!(decision.because.ends_with("not blocks freed within them."), "{}", decision.because);
}

#[test]
fn a_stack_whose_frees_go_unseen_is_not_accused() {
    let grows = |missed_frees| {
        let snapshot = |at: u64| Snapshot {
            time_ns: at * 1_000_000_000,
            stacks: vec![StackCounters {
                id: 1,
                live_bytes: 1000 * at,
                live_count: 10 * at,
                allocated_bytes: 1000 * at,
                allocated_count: 10 * at,
                missed_frees,
                ..StackCounters::default()
            }],
            ..Snapshot::default()
        };
        let mut recording = Recording::new(Header { mode: Mode::Kernel, ..Header::default() });
        (1..=20).for_each(|at| recording.push(Record::Snapshot(snapshot(at))));
        judged(&recording).class
    };
    assert_eq!(grows(0), Class::Leak);
    assert_eq!(grows(2), Class::Leak);
    assert_eq!(grows(40), Class::Inconclusive);
}

#[test]
fn a_leak_is_as_fast_as_what_stays() {
    let churn = series(16, |at| 50_000 + 10 * noise(at));
    let slope = observe(&churn, Mode::Heap, Some(&|_, _| 16)).slope.unwrap();
    assert!((slope.per_second - 16.0).abs() < 1e-9, "{slope:?}");
}

/// Two stretches of time are too few to tell that blocks stay; whether any was freed is known all the same.
#[test]
fn growth_in_few_stretches_does_not_claim_frees() {
    let grown = |freed: u64| {
        let settings = Settings { cohort_ns: 5 * SECOND, ..Settings::default() };
        let mut recording = Recording::new(Header { settings, ..Header::default() });
        for at in 1..=10_u32 {
            let live_count = u64::from(at) * 10;
            let of = |number: u32| Cohort { number, allocated_bytes: 1 << 20, live_bytes: 1000 };
            let counters = StackCounters {
                id: 1,
                live_bytes: 100 * live_count,
                live_count,
                allocated_count: live_count + freed,
                cohorts: (0..=(at - 1) / 5).map(of).collect(),
                ..StackCounters::default()
            };
            let time_ns = u64::from(at) * SECOND;
            recording.push(Record::Snapshot(Snapshot {
                time_ns,
                stacks: vec![counters],
                ..Snapshot::default()
            }));
        }
        judged(&recording)
    };
    let (kept, freed) = (grown(0), grown(7));
    assert_eq!((kept.class, freed.class), (Class::Suspected, Class::Suspected));
    assert!(kept.because.contains("nothing of it was freed"), "{}", kept.because);
    assert!(freed.because.contains("although single blocks are freed"), "{}", freed.because);
}
