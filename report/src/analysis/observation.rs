//! Everything that is computed about one stack before it is judged.

use crate::recording::{Mode, StackCounters};

use super::{
    Evidence,
    cohort::{Cohorts, Stretches},
    draws::Draws,
    saturation::Thirds,
    series::{Grid, Series},
    trend::{self, Slope, Trend},
    youngest::{self, Residue},
};

/// One stack in numbers.
#[derive(Debug, Clone)]
pub(super) struct Observation<'a> {
    pub(super) mode: Mode,
    pub(super) grid: &'a Grid,
    /// Live bytes at each point of the grid.
    pub(super) live: Vec<f64>,
    /// Blocks allocated so far at each point of the grid.
    pub(super) allocated: Vec<f64>,
    /// The counters at the end.
    pub(super) last: StackCounters,
    pub(super) grew_every_snapshot: bool,
    pub(super) growing_share: f64,
    pub(super) trend: Option<Trend>,
    pub(super) slope: Option<Slope>,
    pub(super) thirds: Option<Thirds>,
    /// What its growth rests on, where a sample was followed.
    pub(super) draws: Option<Draws>,
    /// How much live bytes swing from snapshot to snapshot without going anywhere: one standard deviation.
    pub(super) noise: f64,
    /// What stays; absent without cohorts, or when blocks of every age are being freed.
    pub(super) residue: Option<Residue>,
    /// How much longer blocks live later in the run, where cohorts tell; 1 is the same.
    pub(super) lifetime_growth: Option<f64>,
    /// Whether cohorts could have told what stays.
    pub(super) has_cohorts: bool,
}

impl<'a> Observation<'a> {
    pub(super) fn of(series: &Series<'_>, grid: &'a Grid, stretches: Option<&Stretches>, mode: Mode) -> Self {
        let live: Vec<f64> = series.live.iter().map(|bytes| *bytes as f64).collect();
        let error = series.history.sample(&grid.snapshots, |counters| counters.live_error_bytes);
        let error: Vec<f64> = error.into_iter().map(|bytes| bytes as f64).collect();
        let allocated = series.history.sample(&grid.snapshots, |counters| counters.allocated_count);
        let cohorts = stretches.map(|stretches| Cohorts::of(series.history, grid, stretches));
        let residue = cohorts.as_ref().and_then(Residue::of);
        Self {
            mode,
            grid,
            last: series.history.last().cloned().unwrap_or_default(),
            grew_every_snapshot: series.grew_every_snapshot,
            growing_share: series.growing_share,
            trend: trend::mann_kendall(&live),
            slope: trend::theil_sen(&grid.seconds, &live),
            thirds: Thirds::of(&grid.seconds, &live),
            draws: Draws::of(&live, &error),
            noise: noise(&live),
            lifetime_growth: cohorts.as_ref().and_then(youngest::lifetime_growth),
            has_cohorts: cohorts.is_some_and(|cohorts| cohorts.live.len() >= 2),
            residue,
            live,
            allocated: allocated.into_iter().map(|blocks| blocks as f64).collect(),
        }
    }

    /// The most bytes ever live.
    pub(super) fn highest(&self) -> f64 {
        self.live.iter().copied().fold(0.0, f64::max)
    }

    /// Live bytes in the first and in the last snapshot.
    pub(super) fn ends(&self) -> (f64, f64) {
        let end = |value: Option<&f64>| value.copied().unwrap_or_default();
        (end(self.live.first()), end(self.live.last()))
    }

    /// Blocks stay behind now and then, so rarely that it may be chance.
    pub(super) fn leaves_some(&self) -> bool {
        let Some(residue) = &self.residue else { return false };
        let leaving = residue.left.iter().filter(|left| **left > 0.0).count();
        let late = residue.left.iter().skip(residue.left.len() / 2).any(|left| *left > 0.0);
        leaving >= 2 && late
    }

    /// The numbers behind a decision, for a person.
    pub(super) fn evidence(&self, because: String, slope: Option<Slope>) -> Evidence {
        const HOUR: f64 = 3600.0;
        Evidence {
            because,
            slope_interval_bytes_per_hour: slope.map(|slope| (slope.low * HOUR, slope.high * HOUR)),
            trend_p_value: self.trend.map(|trend| trend.p_value),
            growing_share: self.growing_share,
            deceleration: self.thirds.and_then(Thirds::deceleration),
            cohort_survival: self.residue.as_ref().and_then(Residue::survival),
        }
    }
}

/// Standard deviation of the noise in a value, from the median size of its second differences: a trend and its bends do
/// not count, and neither do a few jumps.
pub(super) fn noise(values: &[f64]) -> f64 {
    /// Standard deviations in a median absolute deviation of the normal distribution.
    const NORMAL_MAD: f64 = 1.4826;
    let seconds: Vec<f64> =
        values.windows(3).map(|three| (three[2] - 2.0 * three[1] + three[0]).abs()).collect();
    NORMAL_MAD * trend::median(&seconds) / 6.0_f64.sqrt() // variance of a second difference: 1 + 4 + 1
}

#[cfg(test)]
mod tests {
    use super::noise;

    #[test]
    fn noise_is_what_no_trend_explains() {
        let line: Vec<f64> = (0..20).map(|at| 7.0 * f64::from(at)).collect();
        assert_eq!(noise(&line), 0.0);
        let jump: Vec<f64> = (0..20).map(|at| if at < 9 { 0.0 } else { 1e9 }).collect();
        assert_eq!(noise(&jump), 0.0);
        let zigzag: Vec<f64> = (0..20).map(|at| if at % 2 == 0 { 10.0 } else { -10.0 }).collect();
        assert!((15.0..30.0).contains(&noise(&zigzag)), "{}", noise(&zigzag));
        assert_eq!(noise(&[1.0, 2.0]), 0.0);
    }
}
