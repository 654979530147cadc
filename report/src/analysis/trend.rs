//! Is there a trend, and how steep is it? Both answers by rank, so that one wild value changes nothing.

/// A line's slope and what it may be, in value per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slope {
    pub(super) per_second: f64,
    /// Bounds of the interval that holds the true slope in 95 of 100 cases.
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Two-sided 95 % of the normal distribution.
const NORMAL_95: f64 = 1.959_964;

/// Theil-Sen: the median of the slopes between all pairs of points, with Sen's interval (Sen 1968, "Estimates of the
/// regression coefficient based on Kendall's tau"). `None` when no two points differ in time.
pub(super) fn theil_sen(seconds: &[f64], values: &[f64]) -> Option<Slope> {
    let mut slopes = Vec::with_capacity(values.len() * values.len().saturating_sub(1) / 2);
    for (later, (time, value)) in seconds.iter().zip(values).enumerate() {
        for (time_before, value_before) in seconds.iter().zip(values).take(later) {
            if time > time_before {
                slopes.push((value - value_before) / (time - time_before));
            }
        }
    }
    let count = slopes.len();
    if count == 0 {
        return None;
    }
    let width = NORMAL_95 * score_variance(values).max(0.0).sqrt();
    let all = count as f64;
    let place = |place: f64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the indices")]
        let index = place.clamp(0.0, all - 1.0) as usize;
        index
    };
    let (low, high) =
        (place((f64::midpoint(all, -width) - 1.0).floor()), place(f64::midpoint(all, width).ceil()));
    let median = nth(&mut slopes, count / 2);
    let (left, right) = slopes.split_at_mut(count / 2);
    let median = if count % 2 == 1 {
        median
    } else {
        f64::midpoint(left.iter().copied().fold(f64::MIN, f64::max), median)
    };
    // The bounds lie on either side of the median, which is in its place already.
    let low = if low < left.len() { nth(left, low) } else { median };
    let high = nth(right, high.saturating_sub(count / 2));
    Some(Slope { per_second: median, low, high })
}

/// The value that would be at `index` if the values were sorted; all smaller ones are moved before it.
fn nth(values: &mut [f64], index: usize) -> f64 {
    *values.select_nth_unstable_by(index, f64::total_cmp).1
}

/// Whether values rise or fall over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// Two-sided probability of so clear an order without any trend.
    pub(super) p_value: f64,
    /// More pairs rise than fall.
    pub(super) rising: bool,
}

/// Mann-Kendall with the correction for ties, by the normal approximation (Kendall 1975, "Rank Correlation Methods").
/// `None` for fewer than three values.
pub(super) fn mann_kendall(values: &[f64]) -> Option<Trend> {
    if values.len() < 3 {
        return None;
    }
    let mut score = 0_i32;
    for (later, value) in values.iter().enumerate() {
        for before in &values[..later] {
            score += i32::from(value > before) - i32::from(value < before);
        }
    }
    let variance = score_variance(values);
    if score == 0 || variance <= 0.0 {
        return Some(Trend { p_value: 1.0, rising: false });
    }
    let z = (f64::from(score.abs()) - 1.0) / variance.sqrt();
    Some(Trend { p_value: libm::erfc(z / std::f64::consts::SQRT_2), rising: score > 0 })
}

/// Variance of Kendall's score when there is no trend: `(n(n-1)(2n+5) - sum over ties t(t-1)(2t+5)) / 18`.
fn score_variance(values: &[f64]) -> f64 {
    let term = |n: usize| {
        let n = n as f64;
        n * (n - 1.0) * (2.0 * n + 5.0)
    };
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let ties: f64 = sorted.chunk_by(|a, b| a.total_cmp(b).is_eq()).map(|tied| term(tied.len())).sum();
    (term(values.len()) - ties) / 18.0
}

/// The middle of the values; 0 of none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u32) -> Vec<f64> {
        (0..count).map(f64::from).collect()
    }

    #[test]
    fn a_line_has_its_own_slope() {
        let values: Vec<f64> = seconds(10).iter().map(|second| 5.0 + 3.0 * second).collect();
        let slope = theil_sen(&seconds(10), &values).unwrap();
        assert_eq!((slope.per_second, slope.low, slope.high), (3.0, 3.0, 3.0));
        assert_eq!(theil_sen(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(theil_sen(&[], &[]), None);
    }

    #[test]
    fn one_wild_value_does_not_bend_the_slope() {
        let mut values: Vec<f64> = seconds(11).iter().map(|second| 2.0 * second).collect();
        values[7] = 1e9;
        let slope = theil_sen(&seconds(11), &values).unwrap();
        assert!((slope.per_second - 2.0).abs() < 1e-9, "{slope:?}");
        assert!(slope.low <= 2.0 && slope.high >= 2.0);
    }

    #[test]
    fn sens_interval_is_that_of_the_book() {
        // Gilbert 1987, "Statistical Methods for Environmental Pollution Monitoring", example 16.2 uses the same formula:
        // 10 points give 45 slopes and a half width of 1.96 * sqrt(125) / 2 = 10.96 ranks around 22.5.
        let noise = [3.0, -2.0, 0.0, 4.0, -4.0, 1.0, -1.0, 2.0, -3.0, 0.5];
        let values: Vec<f64> = seconds(10).iter().zip(noise).map(|(second, noise)| second + noise).collect();
        let mut slopes = Vec::new();
        for later in 0..10 {
            for before in 0..later {
                slopes.push((values[later] - values[before]) / (later - before) as f64);
            }
        }
        slopes.sort_by(f64::total_cmp);
        let slope = theil_sen(&seconds(10), &values).unwrap();
        assert_eq!((slope.low, slope.high), (slopes[10], slopes[34]));
    }

    #[test]
    fn mann_kendall_matches_known_values() {
        // Variance without ties: 10 * 9 * 25 / 18 = 125; z = 44 / sqrt(125) = 3.935; two-sided p = 8.3e-5.
        let cases: [(&[f64], f64, bool); 6] = [
            (&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], 8.3e-5, true),
            (&[10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 8.3e-5, false),
            (&[1.0, 2.0, 3.0, 4.0], 0.0894, true),
            (&[1.0, 2.0, 3.0], 0.2963, true),
            (&[5.0, 5.0, 5.0, 5.0, 5.0], 1.0, false),
            // Ties 2 and 2: variance (5*4*15 - 2*18) / 18 = 14.67, S = 8, z = 1.828.
            (&[1.0, 1.0, 2.0, 2.0, 3.0], 0.0676, true),
        ];
        for (values, p_value, rising) in cases {
            let trend = mann_kendall(values).unwrap();
            assert!((trend.p_value - p_value).abs() < p_value * 0.01, "{values:?}: {trend:?}");
            assert_eq!(trend.rising, rising);
        }
        assert_eq!(mann_kendall(&[1.0, 2.0]), None);
    }

    #[test]
    fn medians() {
        assert_eq!((median(&[]), median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0])), (0.0, 2.0, 2.5));
    }
}
