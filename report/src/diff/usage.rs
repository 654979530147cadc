//! What one stack, or all together, used in one recording.

use std::ops::Add;

use serde::{Deserialize, Serialize};

use crate::recording::{History, Recording, Source};

const NANOSECONDS_PER_HOUR: f64 = 3.6e12;

/// What a stack used in one recording.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Bytes live at the end.
    pub live_bytes: u64,
    /// Blocks live at the end.
    pub live_count: u64,
    /// From the first snapshot to the last; 0 with fewer than two. Not a fitted slope: those of several stacks do not add
    /// up.
    pub growth_bytes_per_hour: f64,
    /// From the start to the last snapshot; absent when the source does not know what was allocated.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub allocated_bytes_per_hour: Option<f64>,
}

impl Usage {
    pub(super) fn of(history: &History<'_>, recording: &Recording) -> Self {
        let Some(last) = history.last() else { return Self::of_nothing(recording) };
        let first = history.sample(&[0], |counters| counters.live_bytes).first().copied().unwrap_or_default();
        let growth = last.live_bytes as f64 - first as f64;
        let end = recording.snapshots.last().map_or(0, |snapshot| snapshot.time_ns);
        let known = recording.header.source == Source::Leakhound;
        Self {
            live_bytes: last.live_bytes,
            live_count: last.live_count,
            growth_bytes_per_hour: per_hour(growth, span_ns(recording)),
            allocated_bytes_per_hour: known.then(|| per_hour(last.allocated_bytes as f64, end)),
        }
    }

    pub(super) fn of_nothing(recording: &Recording) -> Self {
        let known = recording.header.source == Source::Leakhound;
        Self { allocated_bytes_per_hour: known.then_some(0.0), ..Self::default() }
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let allocated = self.allocated_bytes_per_hour.zip(other.allocated_bytes_per_hour);
        Self {
            live_bytes: self.live_bytes.saturating_add(other.live_bytes),
            live_count: self.live_count.saturating_add(other.live_count),
            growth_bytes_per_hour: self.growth_bytes_per_hour + other.growth_bytes_per_hour,
            allocated_bytes_per_hour: allocated.map(|(a, b)| a + b),
        }
    }
}

/// From the first snapshot to the last.
pub(super) fn span_ns(recording: &Recording) -> u64 {
    let time =
        |snapshot: Option<&crate::recording::Snapshot>| snapshot.map_or(0, |snapshot| snapshot.time_ns);
    time(recording.snapshots.last()).saturating_sub(time(recording.snapshots.first()))
}

fn per_hour(bytes: f64, span_ns: u64) -> f64 {
    if span_ns == 0 { 0.0 } else { bytes * NANOSECONDS_PER_HOUR / span_ns as f64 }
}
