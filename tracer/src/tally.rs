//! From the kernel's counters to what a snapshot records: sums per stack, and only what changed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use leakhound_ebpf::abi::{Amounts, CounterKey, Counters, VARIANCE_UNIT, WEIGHT_ONE};
use leakhound_report::recording::{Cohort, StackCounters};

/// The counters as last read, and their sums per recorded stack.
#[derive(Debug, Default)]
pub struct Tally {
    last: HashMap<CounterKey, Counters>,
    stacks: BTreeMap<u32, BTreeMap<u32, Counters>>,
    sum: Counters,
    /// Cohorts that changed since they were last asked for, by recorded stack.
    changed: BTreeMap<u32, BTreeSet<u32>>,
    /// Blocks freed unseen, by recorded stack.
    missed: BTreeMap<u32, u64>,
}

impl Tally {
    /// Takes in a reading. `id_of` gives the recorded stack of a hash; several hashes may share one, when processes of the same
    /// program have it at different addresses.
    pub fn take_in(&mut self, reading: &[(CounterKey, Counters)], mut id_of: impl FnMut(u64) -> u32) {
        for (key, now) in reading {
            let before = self.last.insert(*key, *now).unwrap_or_default();
            if before == *now {
                continue;
            }
            let id = id_of(key.stack);
            let cohort = self.stacks.entry(id).or_default().entry(key.cohort).or_default();
            add_difference(cohort, before, *now);
            add_difference(&mut self.sum, before, *now);
            self.changed.entry(id).or_default().insert(key.cohort);
        }
    }

    /// The stacks that changed since this was last asked.
    pub fn changes(&mut self) -> Vec<StackCounters> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|(id, cohorts)| self.record(id, &cohorts)).collect()
    }

    /// Takes in how many blocks of each stack were freed unseen; they are recorded with the next change of that stack, which
    /// comes with them.
    pub fn note_missed(&mut self, reading: &[(u64, u64)], id_of: impl Fn(u64) -> Option<u32>) {
        self.missed.clear();
        for (hash, count) in reading {
            if let Some(id) = id_of(*hash) {
                *self.missed.entry(id).or_default() += count;
            }
        }
    }

    /// Counts what is live of these stacks as freed: their process is gone, and its memory with it. Returns the keys of their
    /// counters, which nobody changes any more, and how many blocks they still counted.
    pub fn retire(
        &mut self,
        hashes: &HashSet<u64>,
        id_of: impl Fn(u64) -> Option<u32>,
    ) -> (Vec<CounterKey>, u64) {
        let mut stale = 0;
        let gone: Vec<(CounterKey, Counters)> =
            self.last.extract_if(|key, _| hashes.contains(&key.stack)).collect();
        for (key, counters) in &gone {
            stale += live(counters).count;
            let Some(id) = id_of(key.stack) else { continue };
            let live = live(counters);
            let cohort = self.stacks.entry(id).or_default().entry(key.cohort).or_default();
            for sum in [cohort, &mut self.sum] {
                change(&mut sum.freed, Amounts::default(), live);
            }
            self.changed.entry(id).or_default().insert(key.cohort);
        }
        (gone.into_iter().map(|(key, _)| key).collect(), stale)
    }

    /// Sums over all stacks.
    pub fn sum(&self) -> Counters {
        self.sum
    }

    /// Live bytes and blocks of all stacks.
    pub fn live(&self) -> (u64, u64) {
        let live = live(&self.sum);
        (live.bytes, blocks(live))
    }

    /// The stacks with the most live bytes, the largest first.
    pub fn largest(&self, count: usize) -> Vec<u32> {
        let mut stacks: Vec<(u64, u32)> = self
            .stacks
            .iter()
            .map(|(id, cohorts)| (cohorts.values().map(|cohort| live(cohort).bytes).sum(), *id))
            .filter(|(bytes, _)| *bytes > 0)
            .collect();
        stacks.sort_unstable_by(|a, b| b.cmp(a));
        stacks.into_iter().take(count).map(|(_, id)| id).collect()
    }

    fn record(&self, id: u32, cohorts: &BTreeSet<u32>) -> StackCounters {
        let missed_frees = self.missed.get(&id).copied().unwrap_or(0);
        let mut record = StackCounters { id, missed_frees, ..StackCounters::default() };
        let mut sum = Counters::default();
        for (number, counters) in self.stacks.get(&id).into_iter().flatten() {
            change(&mut sum.allocated, Amounts::default(), counters.allocated);
            change(&mut sum.freed, Amounts::default(), counters.freed);
            let live_bytes = live(counters).bytes;
            record.live_bytes += live_bytes;
            if cohorts.contains(number) {
                let allocated_bytes = counters.allocated.bytes;
                record.cohorts.push(Cohort { number: *number, allocated_bytes, live_bytes });
            }
        }
        let live = live(&sum);
        record.live_count = blocks(live);
        record.live_error_bytes = error(live);
        record.allocated_bytes = sum.allocated.bytes;
        record.allocated_count = blocks(sum.allocated);
        record
    }
}

/// Wrapping on purpose: an undone nested call makes "allocated" smaller, so a difference can be negative.
fn add_difference(to: &mut Counters, before: Counters, now: Counters) {
    change(&mut to.allocated, before.allocated, now.allocated);
    change(&mut to.freed, before.freed, now.freed);
}

fn change(to: &mut Amounts, before: Amounts, now: Amounts) {
    let add = |to: &mut u64, before: u64, now: u64| *to = to.wrapping_add(now.wrapping_sub(before));
    add(&mut to.bytes, before.bytes, now.bytes);
    add(&mut to.count, before.count, now.count);
    add(&mut to.represented, before.represented, now.represented);
    add(&mut to.variance, before.variance, now.variance);
}

/// The counters of an entry are read while they change, so a free may show before its allocation.
fn live(counters: &Counters) -> Amounts {
    let Counters { allocated, freed } = counters;
    Amounts {
        bytes: allocated.bytes.saturating_sub(freed.bytes),
        count: allocated.count.saturating_sub(freed.count),
        represented: allocated.represented.saturating_sub(freed.represented),
        variance: allocated.variance.saturating_sub(freed.variance),
    }
}

/// Blocks, with those that a sampled one stands for.
fn blocks(amounts: Amounts) -> u64 {
    amounts.count + (amounts.represented + WEIGHT_ONE / 2) / WEIGHT_ONE
}

/// Standard error of the bytes; 0 when every block was followed.
fn error(amounts: Amounts) -> u64 {
    let variance = amounts.variance as f64 * VARIANCE_UNIT as f64;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a root of at most 2^72, never negative"
    )]
    let bytes = variance.sqrt().round() as u64;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(
        tally: &mut Tally,
        reading: &[(CounterKey, Counters)],
        id_of: impl FnMut(u64) -> u32,
    ) -> Vec<StackCounters> {
        tally.take_in(reading, id_of);
        tally.changes()
    }

    fn entry(stack: u64, cohort: u32, allocated: (u64, u64), freed: (u64, u64)) -> (CounterKey, Counters) {
        let amounts = |(bytes, count)| Amounts { bytes, count, ..Amounts::default() };
        let counters = Counters { allocated: amounts(allocated), freed: amounts(freed) };
        (CounterKey { stack, cohort, pad: 0 }, counters)
    }

    #[test]
    fn records_only_what_changed_and_sums_over_cohorts() {
        let mut tally = Tally::default();
        let first =
            update(&mut tally, &[entry(7, 0, (100, 2), (0, 0)), entry(8, 0, (5, 1), (5, 1))], |hash| {
                u32::try_from(hash).unwrap()
            });
        assert_eq!(first.len(), 2);
        assert_eq!(tally.live(), (100, 2));

        let second = update(
            &mut tally,
            &[entry(7, 0, (100, 2), (50, 1)), entry(7, 1, (30, 1), (0, 0)), entry(8, 0, (5, 1), (5, 1))],
            |hash| u32::try_from(hash).unwrap(),
        );
        let expected = StackCounters {
            id: 7,
            live_bytes: 80,
            live_count: 2,
            live_error_bytes: 0,
            allocated_bytes: 130,
            allocated_count: 3,
            missed_frees: 0,
            cohorts: vec![
                Cohort { number: 0, allocated_bytes: 100, live_bytes: 50 },
                Cohort { number: 1, allocated_bytes: 30, live_bytes: 30 },
            ],
        };
        assert_eq!(second, [expected]);
    }

    #[test]
    fn hashes_of_the_same_stack_add_up() {
        let mut tally = Tally::default();
        let stacks = update(&mut tally, &[entry(1, 0, (10, 1), (0, 0)), entry(2, 0, (20, 1), (5, 1))], |_| 3);
        assert_eq!(stacks.len(), 1);
        assert_eq!((stacks[0].live_bytes, stacks[0].allocated_count), (25, 2));
        assert_eq!(tally.largest(5), [3]);
    }

    #[test]
    fn what_a_gone_process_held_is_no_longer_live() {
        let mut tally = Tally::default();
        let reading = [entry(1, 0, (10, 1), (0, 0)), entry(2, 0, (20, 1), (5, 1))];
        update(&mut tally, &reading, |hash| u32::try_from(hash).unwrap());
        let (keys, stale) = tally.retire(&HashSet::from([2]), |hash| Some(u32::try_from(hash).unwrap()));
        assert_eq!((keys, stale), (vec![reading[1].0], 0));
        let after = tally.changes();
        assert_eq!(after.len(), 1);
        assert_eq!((after[0].id, after[0].live_bytes, after[0].allocated_bytes), (2, 0, 20));
        assert_eq!(tally.live(), (10, 1));
    }

    #[test]
    fn unseen_frees_are_told_with_their_stack() {
        let mut tally = Tally::default();
        tally.note_missed(&[(1, 4), (2, 3), (9, 5)], |hash| (hash < 9).then_some(7));
        tally.take_in(&[entry(1, 0, (10, 1), (0, 0))], |_| 7);
        let stacks = tally.changes();
        assert_eq!((stacks[0].id, stacks[0].missed_frees), (7, 7));
    }

    #[test]
    fn an_undone_nested_call_lowers_the_sum() {
        let mut tally = Tally::default();
        update(&mut tally, &[entry(1, 0, (10, 1), (0, 0))], |_| 1);
        let after = update(&mut tally, &[entry(1, 0, (0, 0), (0, 0))], |_| 1);
        assert_eq!((after[0].allocated_bytes, tally.sum().allocated.count), (0, 0));
    }

    #[test]
    fn a_sampled_block_counts_for_those_it_stands_for() {
        let mut tally = Tally::default();
        // two samples of 100 B, each standing for 1000 blocks; one of them freed
        let one = Amounts { bytes: 100_000, count: 1, represented: 999 * WEIGHT_ONE, variance: 39_000_000 };
        let two = Amounts { bytes: 200_000, count: 2, represented: 1998 * WEIGHT_ONE, variance: 78_000_000 };
        let reading = [(CounterKey { stack: 1, cohort: 0, pad: 0 }, Counters { allocated: two, freed: one })];
        let [stack] = &update(&mut tally, &reading, |_| 1)[..] else { panic!("one stack changed") };
        assert_eq!((stack.live_bytes, stack.live_count), (100_000, 1000));
        assert_eq!((stack.allocated_bytes, stack.allocated_count), (200_000, 2000));
        assert_eq!(stack.live_error_bytes, 99_920); // the root of 39,000,000 x 256
        assert_eq!(tally.live(), (100_000, 1000));
        assert_eq!(tally.sum().allocated.count, 2, "blocks really followed");

        tally.retire(&HashSet::from([1]), |_| Some(1));
        assert_eq!(update(&mut tally, &[], |_| 1)[0].live_error_bytes, 0);
    }
}
