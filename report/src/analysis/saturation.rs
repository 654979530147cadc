//! Growth that slows down: a cache filling up grows in every snapshot too, only ever less.

/// How much was added in each third of the time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Thirds {
    pub(super) first: f64,
    pub(super) middle: f64,
    pub(super) last: f64,
}

impl Thirds {
    /// Growth of a value in each third of the time between its first and its last point; `None` for less than four points.
    pub(super) fn of(seconds: &[f64], values: &[f64]) -> Option<Self> {
        let (Some(start), Some(end)) = (seconds.first(), seconds.last()) else { return None };
        if values.len() < 4 || end <= start {
            return None;
        }
        let third = (end - start) / 3.0;
        let at = |time: f64| interpolate(seconds, values, time);
        let [a, b] = [at(start + third), at(start + 2.0 * third)];
        Some(Self { first: a - values[0], middle: b - a, last: values[values.len() - 1] - b })
    }

    /// Last third over first third; absent when the first third did not grow.
    pub(super) fn deceleration(self) -> Option<f64> {
        (self.first > 0.0).then_some(self.last / self.first)
    }

    /// Slower in each third, and at most half as fast in the end. The middle third tells a cache from a leak behind a
    /// steep start: the leak's middle and last third are alike.
    pub(super) fn slow_down(self) -> bool {
        self.first > 0.0 && self.last < self.first / 2.0 && self.last < 0.8 * self.middle
    }
}

/// The value at a time between two points, on the straight line between them.
fn interpolate(seconds: &[f64], values: &[f64], time: f64) -> f64 {
    let after = seconds.partition_point(|second| *second < time).clamp(1, seconds.len() - 1);
    let (from, to) = (seconds[after - 1], seconds[after]);
    let share = if to > from { ((time - from) / (to - from)).clamp(0.0, 1.0) } else { 1.0 };
    values[after - 1] + share * (values[after] - values[after - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thirds(value: impl Fn(f64) -> f64) -> Thirds {
        let seconds: Vec<f64> = (0..31).map(f64::from).collect();
        let values: Vec<f64> = seconds.iter().map(|second| value(*second)).collect();
        Thirds::of(&seconds, &values).unwrap()
    }

    #[test]
    fn only_growth_that_dies_down_slows_down() {
        let exponential = |tau: f64| move |t: f64| 1000.0 * (1.0 - (-t / tau).exp());
        let cases: [(&str, Thirds, bool); 7] = [
            ("line", thirds(|t| 10.0 * t), false),
            ("accelerating", thirds(|t| t * t), false),
            ("cache, nearly full", thirds(exponential(7.0)), true),
            ("cache, two thirds full", thirds(exponential(25.0)), true),
            ("cache, one third full: still a line", thirds(exponential(75.0)), false),
            ("start-up, then a leak", thirds(|t| if t < 2.0 { 500.0 * t } else { 1000.0 + 10.0 * t }), false),
            ("falling", thirds(|t| 1000.0 - t), false),
        ];
        for (name, thirds, expected) in cases {
            assert_eq!(thirds.slow_down(), expected, "{name}: {thirds:?}");
        }
        assert_eq!(thirds(|t| 30.0 * t).deceleration(), Some(1.0));
        assert_eq!(thirds(|_| 1.0).deceleration(), None);
        assert_eq!(Thirds::of(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), None);
        assert_eq!(Thirds::of(&[1.0; 5], &[1.0; 5]), None, "time stood still");
    }
}
