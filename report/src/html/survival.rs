//! How much of what was allocated together is still live later: what tells a cache from a leak at a glance.
//!
//! A leak's cohorts never fall; a cache's fall at its time to live. Only the stacks that a person will open are worth
//! their bytes, and a few cohorts each: a picture of curves says no more than eight.

use std::collections::BTreeMap;

use crate::recording::{Cohort, History, Recording};

use super::encode::{Columns, int};

/// Stacks, the most suspicious first, whose cohorts the page gets.
const MOST_STACKS: usize = 200;
/// Cohorts of one stack.
const MOST_COHORTS: usize = 8;

/// One cohort of one stack.
struct Line {
    stack: usize,
    cohort: Cohort,
    /// When its last block was allocated.
    end_ns: u64,
    /// First drawn snapshot at or after that: before it the cohort is still being allocated.
    from: usize,
    /// Bytes live at each drawn snapshot from `from` on.
    live: Vec<u64>,
}

/// Adds one line per chosen cohort of the first of `histories`. Returns for how many stacks cohorts were looked for.
pub(super) fn columns<'a>(
    columns: &mut Columns,
    recording: &Recording,
    histories: impl ExactSizeIterator<Item = &'a History<'a>>,
    drawn: &[usize],
) -> usize {
    let looked_at = histories.len().min(MOST_STACKS);
    let lines: Vec<Line> = histories
        .take(MOST_STACKS)
        .enumerate()
        .flat_map(|(stack, history)| lines(stack, history, recording, drawn))
        .collect();
    columns.plain("cohortStack", lines.iter().map(|line| int(line.stack as u64)));
    columns.plain("cohortEnd", lines.iter().map(|line| int(line.end_ns / 1_000_000)));
    columns.plain("cohortAllocated", lines.iter().map(|line| int(line.cohort.allocated_bytes)));
    columns.plain("cohortFrom", lines.iter().map(|line| int(line.from as u64)));
    let live = lines.iter().flat_map(|line| &line.live).copied().map(int);
    columns.differences("cohortLive", usize::MAX, live);
    looked_at
}

/// A few complete cohorts of one stack, evenly spread in time.
fn lines(stack: usize, history: &History<'_>, recording: &Recording, drawn: &[usize]) -> Vec<Line> {
    let length_ns = recording.header.settings.cohort_ns;
    let mut cohorts = BTreeMap::new();
    for cohort in history.changes.iter().flat_map(|(_, counters)| &counters.cohorts) {
        if cohort.allocated_bytes > 0 {
            cohorts.insert(cohort.number, *cohort);
        }
    }
    let complete: Vec<Line> = cohorts
        .into_values()
        .filter_map(|cohort| {
            let end_ns = (u64::from(cohort.number) + 1).saturating_mul(length_ns);
            let from = drawn.partition_point(|&at| recording.snapshots[at].time_ns < end_ns);
            (length_ns > 0 && from < drawn.len()).then(|| Line {
                stack,
                cohort,
                end_ns,
                from,
                live: Vec::new(),
            })
        })
        .collect();
    let count = complete.len();
    let chosen = count.min(MOST_COHORTS);
    let is_chosen = |at: usize| (0..chosen).any(|n| n * (count - 1) / (chosen - 1).max(1) == at);
    let lines = complete.into_iter().enumerate().filter(|(at, _)| is_chosen(*at)).map(|(_, line)| line);
    lines.map(|line| Line { live: live(history, line.cohort.number, &drawn[line.from..]), ..line }).collect()
}

/// Bytes of one cohort live at each of `snapshots`; it keeps its last value where counters do not name it.
fn live(history: &History<'_>, number: u32, snapshots: &[usize]) -> Vec<u64> {
    let mut changes = history.changes.iter().peekable();
    let mut now = 0;
    snapshots
        .iter()
        .map(|&snapshot| {
            while let Some((_, counters)) = changes.next_if(|(at, _)| *at <= snapshot) {
                if let Some(cohort) = counters.cohorts.iter().find(|cohort| cohort.number == number) {
                    now = cohort.live_bytes;
                }
            }
            now
        })
        .collect()
}
