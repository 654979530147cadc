//! The live bytes of one stack over time, at no more points than a rule needs.

use crate::recording::{History, Snapshot};

use super::analyze::seconds;

/// Points that rules look at: more only cost time, since every pair of points has a slope.
const MOST_POINTS: usize = 128;

/// The moments at which rules look at stacks: every snapshot, or evenly spread ones with the first and the last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Grid {
    /// Indices of snapshots, rising.
    pub(super) snapshots: Vec<usize>,
    /// When they were taken, seconds since the start.
    pub(super) seconds: Vec<f64>,
    /// Snapshots in the recording.
    pub(super) recorded: usize,
}

impl Grid {
    /// Seconds between the first and the last point.
    pub(super) fn duration(&self) -> f64 {
        self.seconds.last().zip(self.seconds.first()).map_or(0.0, |(last, first)| last - first)
    }

    /// Mean seconds between two points.
    pub(super) fn step(&self) -> f64 {
        self.duration() / self.seconds.len().saturating_sub(1).max(1) as f64
    }

    pub(super) fn over(snapshots: &[Snapshot]) -> Self {
        let recorded = snapshots.len();
        let indices: Vec<usize> = if recorded <= MOST_POINTS {
            (0..recorded).collect()
        } else {
            (0..MOST_POINTS).map(|point| point * (recorded - 1) / (MOST_POINTS - 1)).collect()
        };
        let seconds = indices.iter().map(|&index| seconds(snapshots[index].time_ns)).collect();
        Self { snapshots: indices, seconds, recorded }
    }
}

/// Live bytes of one stack over time.
#[derive(Debug, Clone)]
pub(super) struct Series<'a> {
    pub(super) history: &'a History<'a>,
    /// Live bytes at each point of the grid.
    pub(super) live: Vec<u64>,
    /// Live bytes grew from each snapshot to the next, and there were at least three: two numbers make no trend.
    pub(super) grew_every_snapshot: bool,
    /// Share of the steps between snapshots in which live bytes grew, 0 to 1.
    pub(super) growing_share: f64,
}

impl<'a> Series<'a> {
    pub(super) fn of(history: &'a History<'a>, grid: &Grid) -> Self {
        let live = history.sample(&grid.snapshots, |counters| counters.live_bytes);
        let grown = growing_steps(history);
        let steps = grid.recorded.saturating_sub(1);
        Self {
            history,
            live,
            grew_every_snapshot: steps >= 2 && grown == steps,
            growing_share: if steps == 0 { 0.0 } else { grown as f64 / steps as f64 },
        }
    }

    /// Live blocks in the last snapshot less those in the first.
    pub(super) fn grown_blocks(&self) -> f64 {
        let last = self.history.last().map_or(0, |counters| counters.live_count);
        let first =
            self.history.sample(&[0], |counters| counters.live_count).first().copied().unwrap_or_default();
        last as f64 - first as f64
    }

    /// Live bytes in the first snapshot.
    pub(super) fn first(&self) -> u64 {
        self.live.first().copied().unwrap_or_default()
    }

    /// Live bytes in the last snapshot.
    pub(super) fn last(&self) -> u64 {
        self.live.last().copied().unwrap_or_default()
    }
}

/// Steps between neighbouring snapshots in which live bytes grew, of all snapshots and not only those of the grid.
fn growing_steps(history: &History<'_>) -> usize {
    let mut before = 0;
    let mut grown = 0;
    for (at, counters) in &history.changes {
        if *at > 0 && counters.live_bytes > before {
            grown += 1;
        }
        before = counters.live_bytes;
    }
    grown
}
