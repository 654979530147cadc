//! Sums over all stacks, at the end and over time.

use std::collections::HashMap;

use crate::recording::{History, Mode, Process, Snapshot, StackCounters};

use super::{
    TimelinePoint, Totals,
    analyze::seconds,
    observation::{self, Observation},
    saturation::Thirds,
    series::Grid,
    trend,
};

/// Sums at the end. They saturate: a hostile file may hold any numbers.
pub(super) fn at_end(histories: &[History<'_>]) -> Totals {
    let mut totals = Totals::default();
    let mut variance = 0.0;
    for counters in histories.iter().filter_map(History::last) {
        let add = |sum: &mut u64, value: u64| *sum = sum.saturating_add(value);
        add(&mut totals.live_bytes, counters.live_bytes);
        add(&mut totals.live_count, counters.live_count);
        variance += (counters.live_error_bytes as f64).powi(2); // blocks are drawn independently
        add(&mut totals.allocated_bytes, counters.allocated_bytes);
        add(&mut totals.allocated_count, counters.allocated_count);
        add(&mut totals.freed_bytes, counters.allocated_bytes.saturating_sub(counters.live_bytes));
        add(&mut totals.freed_count, counters.allocated_count.saturating_sub(counters.live_count));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; never negative")]
    let error = variance.sqrt().round() as u64;
    totals.live_error_bytes = (error > 0).then_some(error);
    totals
}

/// The target's memory at every snapshot.
pub(super) fn timeline(snapshots: &[Snapshot]) -> Vec<TimelinePoint> {
    let mut live: HashMap<u32, u64> = HashMap::new();
    let mut total = 0_u128; // 2^32 stacks of 2^64 bytes fit
    let mut points = Vec::with_capacity(snapshots.len());
    for snapshot in snapshots {
        for counters in &snapshot.stacks {
            let before = live.insert(counters.id, counters.live_bytes).unwrap_or_default();
            total = total - u128::from(before) + u128::from(counters.live_bytes);
        }
        let processes = (!snapshot.processes.is_empty()).then_some(&snapshot.processes);
        points.push(TimelinePoint {
            at_seconds: seconds(snapshot.time_ns),
            live_bytes: u64::try_from(total).unwrap_or(u64::MAX),
            rss_bytes: processes.map(|processes| sum(processes, |process| process.rss_bytes)),
            anonymous_bytes: processes.map(|processes| {
                sum(processes, |process| process.anonymous_bytes.saturating_add(process.swap_bytes))
            }),
        });
    }
    points
}

/// All stacks together, looked at like one stack of which nothing but live bytes is known.
pub(super) fn observation<'a>(timeline: &[TimelinePoint], grid: &'a Grid, mode: Mode) -> Observation<'a> {
    let live: Vec<f64> = grid.snapshots.iter().map(|at| timeline[*at].live_bytes as f64).collect();
    let grown = timeline.windows(2).filter(|pair| pair[1].live_bytes > pair[0].live_bytes).count();
    let steps = timeline.len().saturating_sub(1);
    Observation {
        mode,
        grid,
        last: StackCounters::default(),
        grew_every_snapshot: steps >= 2 && grown == steps,
        growing_share: if steps == 0 { 0.0 } else { grown as f64 / steps as f64 },
        trend: trend::mann_kendall(&live),
        slope: trend::theil_sen(&grid.seconds, &live),
        thirds: Thirds::of(&grid.seconds, &live),
        draws: None,
        noise: observation::noise(&live),
        residue: None,
        lifetime_growth: None,
        has_cohorts: true,
        live,
        allocated: Vec::new(),
    }
}

fn sum(processes: &[Process], value: impl Fn(&Process) -> u64) -> u64 {
    processes.iter().map(value).fold(0, u64::saturating_add)
}
