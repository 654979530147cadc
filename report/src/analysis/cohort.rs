//! What became of the blocks that one stack allocated in one stretch of time.
//!
//! A tracer has a limited number of cohorts and counts everything later as its last one, so it chooses their length by the
//! duration it is asked for; whatever outlasts that is younger than any rule here looks at.

use crate::recording::{Cohort, History, Recording};

use super::{analyze::seconds, series::Grid};

/// Stretches that rules look at; more cohorts are put together. A tracer has 32.
const MOST_STRETCHES: u32 = 64;
/// Cohorts that a run may be divided into at all.
const MOST_COHORTS: u64 = 4096;

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
    /// `None` when the recording has no cohorts, as a text log or a mode without frees, or senselessly many.
    pub(super) fn of(recording: &Recording, grid: &Grid) -> Option<Self> {
        let length_ns = recording.header.settings.cohort_ns;
        let last_ns = recording.snapshots.last()?.time_ns;
        let mut counters = recording.snapshots.iter().flat_map(|snapshot| &snapshot.stacks);
        let cohorts = last_ns.checked_div(length_ns).filter(|cohorts| *cohorts <= MOST_COHORTS)?;
        if counters.all(|stack| stack.cohorts.is_empty()) {
            return None;
        }
        let cohorts = u32::try_from(cohorts).ok()?;
        let cohorts_each = cohorts / MOST_STRETCHES + 1;
        let over = |stretch: u32| {
            let cohorts = (u64::from(stretch) + 1) * u64::from(cohorts_each);
            let end = seconds(cohorts.saturating_mul(length_ns));
            Some((grid.seconds.iter().position(|second| *second >= end)?, end))
        };
        let (complete, ends) = (0..cohorts / cohorts_each).map_while(over).unzip();
        Some(Self { cohorts_each, complete, ends })
    }
}

#[cfg(test)]
impl Stretches {
    /// Stretches of a second each, all of them over.
    pub(super) fn every_second(count: usize) -> Self {
        let ends = (1..=count).map(|end| end as f64).collect();
        Self { cohorts_each: 1, complete: (0..count).collect(), ends }
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
        let mut known = vec![Cohort::default(); count * stretches.cohorts_each as usize];
        let mut live: Vec<Vec<f64>> = vec![Vec::new(); count];
        let mut sums = vec![(0.0, 0.0); count];
        let mut changes = history.changes.iter().peekable();
        for (point, snapshot) in grid.snapshots.iter().enumerate() {
            while let Some((_, counters)) = changes.next_if(|(at, _)| at <= snapshot) {
                for cohort in &counters.cohorts {
                    let Some(before) = known.get_mut(cohort.number as usize) else { continue };
                    let (allocated, live) = &mut sums[(cohort.number / stretches.cohorts_each) as usize];
                    *allocated += cohort.allocated_bytes as f64 - before.allocated_bytes as f64;
                    *live += cohort.live_bytes as f64 - before.live_bytes as f64;
                    *before = *cohort;
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
