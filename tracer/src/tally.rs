//! From the kernel's counters to what a snapshot records: sums per stack, and only what changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use leakhound_ebpf::abi::{CounterKey, Counters};
use leakhound_report::recording::{Cohort, StackCounters};

/// The counters as last read, and their sums per recorded stack.
#[derive(Debug, Default)]
pub struct Tally {
    last: HashMap<CounterKey, Counters>,
    stacks: BTreeMap<u32, BTreeMap<u32, Counters>>,
    sum: Counters,
    /// Changed other than by a reading: goes out with the next one.
    retired: BTreeMap<u32, BTreeSet<u32>>,
}

impl Tally {
    /// Takes in a reading and returns the stacks that changed. `id_of` gives the recorded stack of a hash; several
    /// hashes may share one, when processes of the same program have it at different addresses.
    pub fn update(
        &mut self,
        reading: &[(CounterKey, Counters)],
        mut id_of: impl FnMut(u64) -> u32,
    ) -> Vec<StackCounters> {
        let mut changed = std::mem::take(&mut self.retired);
        for (key, now) in reading {
            let before = self.last.insert(*key, *now).unwrap_or_default();
            if before == *now {
                continue;
            }
            let id = id_of(key.stack);
            let cohort = self.stacks.entry(id).or_default().entry(key.cohort).or_default();
            add_difference(cohort, before, *now);
            add_difference(&mut self.sum, before, *now);
            changed.entry(id).or_default().insert(key.cohort);
        }
        changed.into_iter().map(|(id, cohorts)| self.record(id, &cohorts)).collect()
    }

    /// Counts what is live of these stacks as freed: their process is gone, and its memory with it.
    pub fn retire(&mut self, hashes: &[u64], id_of: impl Fn(u64) -> Option<u32>) {
        for (key, counters) in &self.last {
            let Some(id) = id_of(key.stack).filter(|_| hashes.contains(&key.stack)) else { continue };
            let (bytes, count) = live(counters);
            let cohort = self.stacks.entry(id).or_default().entry(key.cohort).or_default();
            for sum in [cohort, &mut self.sum] {
                sum.freed_bytes += bytes;
                sum.freed_count += count;
            }
            self.retired.entry(id).or_default().insert(key.cohort);
        }
    }

    /// Sums over all stacks.
    pub fn sum(&self) -> Counters {
        self.sum
    }

    /// Live bytes and blocks of all stacks.
    pub fn live(&self) -> (u64, u64) {
        live(&self.sum)
    }

    /// The stacks with the most live bytes, the largest first.
    pub fn largest(&self, count: usize) -> Vec<u32> {
        let mut stacks: Vec<(u64, u32)> = self
            .stacks
            .iter()
            .map(|(id, cohorts)| (cohorts.values().map(|cohort| live(cohort).0).sum(), *id))
            .filter(|(bytes, _)| *bytes > 0)
            .collect();
        stacks.sort_unstable_by(|a, b| b.cmp(a));
        stacks.into_iter().take(count).map(|(_, id)| id).collect()
    }

    fn record(&self, id: u32, cohorts: &BTreeSet<u32>) -> StackCounters {
        let mut record = StackCounters { id, ..StackCounters::default() };
        for (number, counters) in self.stacks.get(&id).into_iter().flatten() {
            let (live_bytes, live_count) = live(counters);
            record.live_bytes += live_bytes;
            record.live_count += live_count;
            record.allocated_bytes += counters.allocated_bytes;
            record.allocated_count += counters.allocated_count;
            if cohorts.contains(number) {
                let allocated_bytes = counters.allocated_bytes;
                record.cohorts.push(Cohort { number: *number, allocated_bytes, live_bytes });
            }
        }
        record
    }
}

/// Wrapping on purpose: an undone nested call makes "allocated" smaller, so a difference can be negative.
fn add_difference(to: &mut Counters, before: Counters, now: Counters) {
    let add = |to: &mut u64, before: u64, now: u64| *to = to.wrapping_add(now.wrapping_sub(before));
    add(&mut to.allocated_bytes, before.allocated_bytes, now.allocated_bytes);
    add(&mut to.allocated_count, before.allocated_count, now.allocated_count);
    add(&mut to.freed_bytes, before.freed_bytes, now.freed_bytes);
    add(&mut to.freed_count, before.freed_count, now.freed_count);
}

/// The four counters of an entry are read while they change, so a free may show before its allocation.
fn live(counters: &Counters) -> (u64, u64) {
    (
        counters.allocated_bytes.saturating_sub(counters.freed_bytes),
        counters.allocated_count.saturating_sub(counters.freed_count),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(stack: u64, cohort: u32, allocated: (u64, u64), freed: (u64, u64)) -> (CounterKey, Counters) {
        let counters = Counters {
            allocated_bytes: allocated.0,
            allocated_count: allocated.1,
            freed_bytes: freed.0,
            freed_count: freed.1,
        };
        (CounterKey { stack, cohort, pad: 0 }, counters)
    }

    #[test]
    fn records_only_what_changed_and_sums_over_cohorts() {
        let mut tally = Tally::default();
        let first = tally.update(&[entry(7, 0, (100, 2), (0, 0)), entry(8, 0, (5, 1), (5, 1))], |hash| {
            u32::try_from(hash).unwrap()
        });
        assert_eq!(first.len(), 2);
        assert_eq!(tally.live(), (100, 2));

        let second = tally.update(
            &[entry(7, 0, (100, 2), (50, 1)), entry(7, 1, (30, 1), (0, 0)), entry(8, 0, (5, 1), (5, 1))],
            |hash| u32::try_from(hash).unwrap(),
        );
        let expected = StackCounters {
            id: 7,
            live_bytes: 80,
            live_count: 2,
            allocated_bytes: 130,
            allocated_count: 3,
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
        let stacks = tally.update(&[entry(1, 0, (10, 1), (0, 0)), entry(2, 0, (20, 1), (5, 1))], |_| 3);
        assert_eq!(stacks.len(), 1);
        assert_eq!((stacks[0].live_bytes, stacks[0].allocated_count), (25, 2));
        assert_eq!(tally.largest(5), [3]);
    }

    #[test]
    fn what_a_gone_process_held_is_no_longer_live() {
        let mut tally = Tally::default();
        let reading = [entry(1, 0, (10, 1), (0, 0)), entry(2, 0, (20, 1), (5, 1))];
        tally.update(&reading, |hash| u32::try_from(hash).unwrap());
        tally.retire(&[2], |hash| Some(u32::try_from(hash).unwrap()));
        let after = tally.update(&reading, |hash| u32::try_from(hash).unwrap());
        assert_eq!(after.len(), 1);
        assert_eq!((after[0].id, after[0].live_bytes, after[0].allocated_bytes), (2, 0, 20));
        assert_eq!(tally.live(), (10, 1));
    }

    #[test]
    fn an_undone_nested_call_lowers_the_sum() {
        let mut tally = Tally::default();
        tally.update(&[entry(1, 0, (10, 1), (0, 0))], |_| 1);
        let after = tally.update(&[entry(1, 0, (0, 0), (0, 0))], |_| 1);
        assert_eq!((after[0].allocated_bytes, tally.sum().allocated_count), (0, 0));
    }
}
