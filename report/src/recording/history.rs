//! One stack's counters over all snapshots: snapshots hold only what changed, and a rule looks at one stack at a time.

use std::collections::HashMap;

use super::{Recording, Stack, StackCounters};

/// One stack and every change of its counters, oldest first.
#[derive(Debug, Clone)]
pub struct History<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// Index of the snapshot and the counters from then on, in order.
    pub changes: Vec<(usize, &'a StackCounters)>,
}

impl<'a> History<'a> {
    /// The counters at the end; `None` when no snapshot counts this stack.
    pub fn last(&self) -> Option<&'a StackCounters> {
        self.changes.last().map(|(_, counters)| *counters)
    }

    /// One value of the counters at each of `snapshots`, which are indices in rising order; 0 before the first change.
    pub fn sample(&self, snapshots: &[usize], value: impl Fn(&StackCounters) -> u64) -> Vec<u64> {
        let mut changes = self.changes.iter().peekable();
        let mut now = 0;
        snapshots
            .iter()
            .map(|&snapshot| {
                while let Some((_, counters)) = changes.next_if(|(at, _)| *at <= snapshot) {
                    now = value(counters);
                }
                now
            })
            .collect()
    }
}

impl Recording {
    /// Every stack with its counters over time, in the order of `stacks`; costs one entry per recorded change.
    pub fn histories(&self) -> Vec<History<'_>> {
        let mut histories: Vec<History<'_>> =
            self.stacks.iter().map(|stack| History { stack, changes: Vec::new() }).collect();
        let index_of: HashMap<u32, usize> =
            self.stacks.iter().enumerate().map(|(index, stack)| (stack.id, index)).collect();
        for (at, snapshot) in self.snapshots.iter().enumerate() {
            for counters in &snapshot.stacks {
                if let Some(history) = index_of.get(&counters.id).and_then(|&index| histories.get_mut(index))
                {
                    history.changes.push((at, counters));
                }
            }
        }
        histories
    }
}
