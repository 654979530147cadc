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
    /// Standard error of `liveBytes`, when they were estimated from a sample; 0 when every block was followed.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub live_error_bytes: u64,
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
            live_error_bytes: last.live_error_bytes,
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
            live_error_bytes: together(self.live_error_bytes, other.live_error_bytes),
            growth_bytes_per_hour: self.growth_bytes_per_hour + other.growth_bytes_per_hour,
            allocated_bytes_per_hour: allocated.map(|(a, b)| a + b),
        }
    }
}

/// The error of a sum whose parts were drawn apart.
fn together(one: u64, other: u64) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates; never negative"
    )]
    let error = (one as f64).hypot(other as f64).round() as u64;
    error
}

/// How well a recording knows what a stack holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Precision {
    period_bytes: f64,
    span_ns: u64,
}

impl Precision {
    pub(super) fn of(recording: &Recording) -> Self {
        Self {
            period_bytes: recording.header.settings.sample_period_bytes as f64,
            span_ns: span_ns(recording),
        }
    }

    /// Standard error of a stack's growth per hour. Of one that is not there it is that of what the `other` recording has
    /// of it: so much of it may not have been drawn.
    pub(super) fn error(self, usage: Option<Usage>, other: Option<Usage>) -> f64 {
        let undrawn = || (other.map_or(0, |usage| usage.live_bytes) as f64 * self.period_bytes).sqrt();
        per_hour(usage.map_or_else(undrawn, |usage| usage.live_error_bytes as f64), self.span_ns)
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

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}
