use std::time::Duration;

use leakhound_ebpf::abi::Effort;
use proptest::prelude::*;

use super::*;

const TRAPS: Traps = Traps { emulated: 800.0, stepped: 11_000.0, returns: 600.0 };

fn budget(percent: f64) -> Budget {
    Budget::new(percent / 100.0).unwrap()
}

fn spending(share: f64, least: f64) -> Spending {
    Spending { seconds: 0.1, events: 1, share, least, rationed: false }
}

#[test]
fn nothing_is_given_up_before_the_allowance_is_spent() {
    use Step::{LetGo, Sample, Stay};
    let period = |bytes| Period::at_least(bytes).unwrap();
    let sample = |bytes| Level::Sample(period(bytes));
    let all = Level::Everything;
    for (left, level, share, least, expected) in [
        (0.3, all, 0.9, 0.9, Stay),                                      // still saved up
        (0.0, all, 0.04, 0.02, Stay),                                    // owed, but within the budget now
        (0.0, all, 0.08, 0.02, Sample(period(32 << 10))),                // a sample will do
        (0.0, all, 0.08, 0.06, LetGo),                                   // no sample would
        (-0.1, sample(32 << 10), 0.06, 0.02, Sample(period(128 << 10))), // coarser
        (-0.1, sample(512 << 10), 0.06, 0.02, Sample(period(2 << 20))),
        (-0.1, sample(32 << 20), 0.06, 0.02, LetGo), // coarse enough to say nothing
        (-0.1, sample(256 << 20), 0.06, 0.02, LetGo),
        (-0.1, sample(512 << 10), 0.05, 0.02, Stay), // exactly the budget is within it
        (0.3, Level::NoSample, 0.9, 0.02, Stay),
        (-0.1, Level::NoSample, 0.06, 0.02, LetGo),
    ] {
        let decided = budget(5.0).decide(level, &Allowance(left), &spending(share, least));
        assert_eq!(decided, expected, "{left} s left at {level:?} with {share}, at least {least}");
    }
}

#[test]
fn a_look_that_is_late_counts_all_that_was_spent_before_it() {
    let budget = budget(5.0);
    let mut allowance = Allowance::new(budget);
    let late = Spending { seconds: 12.0, share: 0.1, least: 0.02, ..Spending::default() };
    allowance.settle(budget, &late);
    assert_eq!(budget.decide(Level::Everything, &allowance, &late), Step::Sample(Period::FIRST_STEP));
}

#[test]
fn what_the_kernel_side_left_out_is_a_step_however_little_it_cost() {
    let held = Spending { rationed: true, ..spending(0.03, 0.02) };
    let decided = budget(5.0).decide(Level::Everything, &Allowance(0.3), &held);
    assert_eq!(decided, Step::Sample(Period::FIRST_STEP));
    assert_eq!(budget(5.0).decide(Level::NoSample, &Allowance(0.3), &held), Step::LetGo);
}

#[test]
fn a_ration_is_what_is_saved_and_what_a_second_earns() {
    let budget = budget(5.0);
    for (left, least, expected) in [
        (0.5, 0.0, 183_333), // 0.55 s at 3 us
        (0.5, 0.02, 176_666),
        (0.0, 0.02, 10_000),
        (-0.5, 0.02, 10_000), // who owes goes on at the pace of the budget
        (-0.5, 0.06, 0),
    ] {
        assert_eq!(budget.ration(&Allowance(left), least, 3000.0), expected, "{left} s left, {least}");
    }
}

#[test]
fn a_budget_is_a_share() {
    assert_eq!(Budget::new(0.0), Err(BudgetError::Nothing));
    for wrong in [-0.1, 1.01, f64::NAN, f64::INFINITY] {
        assert_eq!(Budget::new(wrong), Err(BudgetError::NoShare));
    }
    assert_eq!(budget(5.0).to_string(), "5 %");
    assert_eq!(budget(0.25).to_string(), "0.25 %");
    let machine = budget(5.0).of_machine(8);
    assert!((machine.share() - 0.4).abs() < 1e-9);
    assert_eq!(machine.to_string(), "5 % of each of 8 cores");
}

fn efforts(calls: u64, returns: u64, frees: u64, program_ns: u64) -> Efforts {
    let of = |runs: u64| Effort { runs, timed: runs / 64, timed_ns: runs / 64 * program_ns };
    Efforts::new([of(calls), of(returns), of(frees), Effort::default(), Effort::default()])
}

#[test]
fn cost_is_traps_and_programs() {
    let mut costs = Costs::new(TRAPS);
    let spent = costs.spend(efforts(6400, 6400, 6400, 1000), Duration::from_secs(1));
    // 1.8 us a call, 1.6 a return, 1.8 a free
    assert!((spent.share - 6400.0 * 5200.0 / 1e9).abs() < 1e-9, "{spent:?}");
    assert!((spent.least - 6400.0 * 2000.0 / 1e9).abs() < 1e-9, "{spent:?}");
    assert_eq!(spent.events, 12_800);
    assert!((costs.per_event_ns() - 2600.0).abs() < 1e-6);
    let mut successor = Costs::new(Traps::default());
    successor.take_over(&costs);
    let frees = Effort { runs: 12_800, timed: 12_800, timed_ns: 12_800 * 400 };
    let none = Effort::default();
    successor.spend(Efforts::new([none, none, frees, none, none]), Duration::from_secs(1));
    assert_eq!(successor.events(), 25_600);
    assert!((successor.per_event_ns() - 1500.0).abs() < 1e-6, "both together");
    // nothing more happened
    assert_eq!(costs.spend(efforts(6400, 6400, 6400, 1000), Duration::from_secs(1)).share, 0.0);
    let mut stepped = Costs::new(TRAPS);
    let frees = Effort { runs: 1000, timed: 0, timed_ns: 0 };
    let none = Effort::default();
    let spent = stepped.spend(Efforts::new([none, none, none, none, frees]), Duration::from_secs(1));
    assert!((spent.share - 1000.0 * 11_200.0 / 1e9).abs() < 1e-9, "{spent:?}");
}

/// A program that calls malloc and free at one rate, and how much of a second it loses to us, second by second.
fn simulate(
    budget: Budget,
    pairs_per_second: f64,
    mean_size: f64,
    seconds: usize,
) -> (Vec<f64>, Option<Level>) {
    const TICK: f64 = 0.05;
    let mut allowance = Allowance::new(budget);
    let mut level = Some(Level::Everything);
    let mut lost = vec![0.0; seconds];
    for tick in 0..seconds * 20 {
        let Some(now) = level else { break };
        let followed = match now {
            Level::Everything | Level::NoSample => 1.0,
            Level::Sample(period) => 1.0 - (-mean_size / period.bytes() as f64).exp(),
        };
        let least = pairs_per_second * 2.0 * 1000.0 / 1e9;
        let share = least + pairs_per_second * followed * 2600.0 / 1e9;
        let spending = Spending { seconds: TICK, events: 0, share, least, rationed: false };
        lost[tick / 20] += share * TICK;
        allowance.settle(budget, &spending);
        match budget.decide(now, &allowance, &spending) {
            Step::Stay => {}
            Step::Sample(period) => level = Some(Level::Sample(period)),
            Step::LetGo => level = None,
        }
    }
    (lost, level)
}

#[test]
fn a_program_of_20_million_pairs_a_second_is_let_go_within_the_first() {
    let (lost, level) = simulate(budget(5.0), 20e6, 64.0, 5);
    assert_eq!(level, None);
    assert!(lost[1..].iter().all(|lost| *lost == 0.0), "{lost:?}");
}

#[test]
fn a_program_that_is_a_little_too_busy_is_sampled_and_kept() {
    let (lost, level) = simulate(budget(5.0), 20_000.0, 100.0, 60);
    assert!(matches!(level, Some(Level::Sample(_))), "{level:?}");
    assert!(lost[30..].iter().all(|lost| *lost <= 0.05), "{lost:?}");
}

#[test]
fn a_busy_start_costs_no_accuracy() {
    let budget = budget(5.0);
    let mut allowance = Allowance::new(budget);
    let busy = Spending { seconds: 0.3, share: 1.0, least: 0.5, ..Spending::default() };
    allowance.settle(budget, &busy);
    assert_eq!(budget.decide(Level::Everything, &allowance, &busy), Step::Stay);
}

/// Nanoseconds of a pair that is followed, beyond what each costs.
const FOLLOWED_NS: f64 = 2600.0;

/// What following costs in all when nobody looks for so many seconds at a time, again and again.
fn simulate_late(budget: Budget, pairs_per_second: f64, mean_size: f64, gaps: &[f64], seconds: f64) -> f64 {
    const TICK: f64 = 0.01;
    let mut allowance = Allowance::new(budget);
    let mut level = Level::Everything;
    let least = pairs_per_second * 2.0 * 1000.0 / 1e9;
    let mut ration = budget.ration(&allowance, least, FOLLOWED_NS) as f64;
    let (mut total, mut since, mut spent) = (0.0, 0.0, 0.0);
    let mut gap = gaps.iter().cycle();
    let mut next = *gap.next().unwrap();
    let mut passed = 0.0;
    while passed < seconds {
        let share = match level {
            Level::Everything | Level::NoSample => 1.0,
            Level::Sample(period) => 1.0 - (-mean_size / period.bytes() as f64).exp(),
        };
        let followed = (pairs_per_second * TICK * share).min(ration);
        ration -= followed;
        spent += followed * FOLLOWED_NS / 1e9;
        (passed, since) = (passed + TICK, since + TICK);
        if since < next {
            continue;
        }
        let share = least + spent / since;
        let look = Spending { seconds: since, events: 0, share, least, rationed: ration < 1.0 };
        allowance.settle(budget, &look);
        ration = budget.ration(&allowance, least, FOLLOWED_NS) as f64;
        total += spent;
        match budget.decide(level, &allowance, &look) {
            Step::Stay => {}
            Step::Sample(period) => level = Level::Sample(period),
            Step::LetGo => return total,
        }
        (since, spent, next) = (0.0, 0.0, *gap.next().unwrap());
    }
    total + spent
}

proptest! {
    /// Whatever the program does, it loses no more than the budget and half a second.
    #[test]
    fn no_program_loses_more_than_the_budget_and_half_a_second(
        percent in 0.1_f64..100.0,
        // no thread runs faster than its probes let it: one core's worth here
        pairs in 1.0_f64..217_000.0,
        size in 1.0_f64..1e6,
    ) {
        let budget = budget(percent);
        let (lost, _) = simulate(budget, pairs, size, 40);
        let allowed = 40.0 * budget.share() + most_saved(budget);
        // one tick at each level is what it takes to see
        prop_assert!(lost.iter().sum::<f64>() <= allowed + 0.05 * 8.0, "{lost:?}");
    }

    /// However late anybody looks: the kernel side keeps what following costs within the budget by itself, but for what is
    /// saved and a second's worth at each level.
    #[test]
    fn following_keeps_to_the_budget_however_late_the_looks(
        percent in 0.1_f64..100.0,
        pairs in 1.0_f64..2_000_000.0,
        size in 1.0_f64..1e6,
        gaps in proptest::collection::vec(0.05_f64..20.0, 1..8),
    ) {
        let budget = budget(percent);
        let spent = simulate_late(budget, pairs, size, &gaps, 60.0);
        let allowed = 60.0 * budget.share() + most_saved(budget) + 9.0 * budget.share();
        prop_assert!(spent <= allowed, "{spent} s of {allowed} s");
    }
}
