//! What became of the blocks that one stack allocated in one stretch of time.
//!
//! A tracer has a limited number of cohorts and counts everything later as its last one, so it chooses their length by the
//! duration it is asked for; whatever outlasts that is younger than any rule here looks at.

use std::collections::HashMap;

use crate::recording::{Cohort, History, Recording};

use super::{analyze::seconds, series::Grid};

/// Stretches that rules look at; more are put together. A tracer writes 32 at most.
const MOST_STRETCHES: u32 = 64;

/// The stretches of time by whose blocks memory is told apart, the same for all stacks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stretches {
    /// Cohorts of the recording in one stretch.
    cohorts_each: u32,
    /// For each stretch that was over before the end the first point of the grid at which it was.
    complete: Vec<usize>,
    /// When each of these was over, seconds since the start.
    pub(super) ends: Vec<f64>,
}

impl Stretches {
    /// `None` when the recording has no cohorts: a text log, or a mode without frees.
    pub(super) fn of(recording: &Recording, grid: &Grid) -> Option<Self> {
        let length_ns = recording.header.settings.cohort_ns;
        let last_ns = recording.snapshots.last()?.time_ns;
        let mut counters = recording.snapshots.iter().flat_map(|snapshot| &snapshot.stacks);
        if length_ns == 0 || counters.all(|stack| stack.cohorts.is_empty()) {
            return None;
        }
        let cohorts = u32::try_from(last_ns / length_ns).unwrap_or(u32::MAX);
        let cohorts_each = cohorts / MOST_STRETCHES + 1;
        let over = |stretch: u32| {
            let end = seconds((u64::from(stretch) + 1) * u64::from(cohorts_each) * length_ns);
            Some((grid.seconds.iter().position(|second| *second >= end)?, end))
        };
        let (complete, ends) = (0..cohorts / cohorts_each).map_while(over).unzip();
        Some(Self { cohorts_each, complete, ends })
    }
}

/// The cohorts of one stack.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cohorts<'a> {
    pub(super) stretches: &'a Stretches,
    /// Bytes allocated in each stretch that is over.
    pub(super) allocated: Vec<f64>,
    /// Live bytes of each stretch that is over, from the point of the grid at which it was, to the last.
    pub(super) live: Vec<Vec<f64>>,
}

impl<'a> Cohorts<'a> {
    /// Reads a stack's cohorts at the points of the grid.
    pub(super) fn of(history: &History<'_>, grid: &Grid, stretches: &'a Stretches) -> Self {
        let count = stretches.complete.len();
        let mut known: HashMap<u32, Cohort> = HashMap::new();
        let mut live: Vec<Vec<f64>> = vec![Vec::new(); count];
        let mut sums = vec![(0.0, 0.0); count];
        let mut changes = history.changes.iter().peekable();
        for (point, snapshot) in grid.snapshots.iter().enumerate() {
            while let Some((_, counters)) = changes.next_if(|(at, _)| at <= snapshot) {
                for cohort in &counters.cohorts {
                    let before = known.insert(cohort.number, *cohort).unwrap_or_default();
                    let stretch = (cohort.number / stretches.cohorts_each) as usize;
                    if let Some((allocated, live)) = sums.get_mut(stretch) {
                        *allocated += cohort.allocated_bytes as f64 - before.allocated_bytes as f64;
                        *live += cohort.live_bytes as f64 - before.live_bytes as f64;
                    }
                }
            }
            for (stretch, (_, now)) in sums.iter().enumerate() {
                if stretches.complete[stretch] <= point {
                    live[stretch].push(*now);
                }
            }
        }
        Self { stretches, allocated: sums.into_iter().map(|(allocated, _)| allocated).collect(), live }
    }
}

#[cfg(test)]
mod tests;
