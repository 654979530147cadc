//! Growth that is purged again and again: a cache with a limit, an arena per batch.

use super::{observation::noise, trend};

/// How far a fall or a climb has to go to count, as a share of the whole range.
const SWING: f64 = 0.35;
/// Snapshots that one climb takes at least, on average: noise goes up and down in every second snapshot.
const SHORTEST_CLIMB: f64 = 2.4;
/// Noise that climbs may have, as a share of the whole range: a range that is made of noise has a fifth.
const CLEAR: f64 = 0.12;
/// How much alike a value and itself one period later have to be, as a correlation.
const PERIODIC: f64 = 0.8;

/// The climbs and falls of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sawtooth {
    /// Falls that were followed or preceded by climbs as large.
    pub(super) purges: usize,
    /// Where it was lowest between a fall and the next climb: indices of points, rising.
    pub(super) valleys: Vec<usize>,
    /// Largest and smallest value.
    pub(super) range: f64,
}

/// Finds at least two climbs with their purges, which either stand out from the noise or come at regular times.
pub(super) fn find(values: &[f64]) -> Option<Sawtooth> {
    let highest = values.iter().copied().fold(f64::MIN, f64::max);
    let lowest = values.iter().copied().fold(f64::MAX, f64::min);
    let range = highest - lowest;
    if values.len() < 6 || range < 0.25 * highest {
        return None;
    }
    let turns = turning_points(values, SWING * range);
    let legs = || turns.windows(2).map(|leg| (leg[1] - leg[0], values[leg[1]] - values[leg[0]]));
    let (climbs, climbed): (Vec<usize>, Vec<f64>) = legs().filter(|(_, change)| *change > 0.0).unzip();
    let purges = legs().filter(|(_, change)| *change < 0.0).count();
    if purges < 2 || climbs.len() < 2 || climbed.is_empty() {
        return None;
    }
    let mean_climb = climbs.iter().sum::<usize>() as f64 / climbs.len() as f64;
    let valleys = turns.windows(2).filter(|leg| values[leg[1]] < values[leg[0]]).map(|leg| leg[1]).collect();
    let gradual = mean_climb >= SHORTEST_CLIMB && !is_spiky(values, &turns) && noise(values) < CLEAR * range;
    (gradual || has_steady_steps(values, 0.05 * range) || is_periodic(values)).then_some(Sawtooth {
        purges,
        valleys,
        range,
    })
}

/// Whether most of a climb is usually made in one step: then it was no climb, but a peak that a snapshot happened to hit.
fn is_spiky(values: &[f64], turns: &[usize]) -> bool {
    let shares: Vec<f64> = turns
        .windows(2)
        .filter(|leg| values[leg[1]] > values[leg[0]])
        .map(|leg| {
            let steps = values[leg[0]..=leg[1]].windows(2).map(|pair| pair[1] - pair[0]);
            steps.fold(0.0, f64::max) / (values[leg[1]] - values[leg[0]])
        })
        .collect();
    trend::median(&shares) > 0.7
}

/// Whether all steps upwards of at least `smallest` are about as high, as when memory is taken at a steady rate between purges. This tells a
/// period of two or three snapshots from noise.
fn has_steady_steps(values: &[f64], smallest: f64) -> bool {
    const FEWEST: usize = 5;
    const SPREAD: f64 = 0.15;
    let steps: Vec<f64> =
        values.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step > smallest).collect();
    let usual = trend::median(&steps);
    let deviations: Vec<f64> = steps.iter().map(|step| (step - usual).abs()).collect();
    steps.len() >= FEWEST && trend::median(&deviations) < SPREAD * usual
}

/// Whether values repeat themselves, at least twice.
fn is_periodic(values: &[f64]) -> bool {
    (2..=values.len() / 3).any(|lag| correlation(&values[lag..], &values[..values.len() - lag]) >= PERIODIC)
}

/// Pearson's correlation; 0 when one of both does not change.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut only_a, mut only_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        both += (a - mean_a) * (b - mean_b);
        only_a += (a - mean_a).powi(2);
        only_b += (b - mean_b).powi(2);
    }
    let scale = (only_a * only_b).sqrt();
    if scale > 0.0 { both / scale } else { 0.0 }
}

/// Indices of the first point, of every extreme that is at least `swing` away from the one before, and of the last extreme.
fn turning_points(values: &[f64], swing: f64) -> Vec<usize> {
    let mut turns = vec![0];
    let (mut high, mut low) = (0, 0);
    let mut climbing = None;
    for (at, value) in values.iter().enumerate() {
        if *value > values[high] {
            high = at;
        }
        if *value < values[low] {
            low = at;
        }
        if climbing != Some(false) && values[high] - value >= swing {
            turns.push(high);
            (climbing, low, high) = (Some(false), at, at);
        } else if climbing != Some(true) && value - values[low] >= swing {
            turns.push(low);
            (climbing, low, high) = (Some(true), at, at);
        }
    }
    turns.push(if climbing == Some(false) { low } else { high });
    turns.dedup();
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_repeated_climbs_with_purges_are_a_sawtooth() {
        let cycle = |period: u32, keep: f64| -> Vec<f64> {
            (0..24)
                .map(|at| 100.0 * (keep + (1.0 - keep) * f64::from(at % period) / f64::from(period)))
                .collect()
        };
        let noise = [9.0, 3.0, 8.0, 2.0, 7.0, 9.0, 1.0, 6.0, 2.0, 9.0, 4.0, 8.0, 1.0, 9.0, 3.0, 7.0].to_vec();
        let hump: Vec<f64> = (0..20).map(|at| if at < 12 { f64::from(at) } else { 0.0 }).collect();
        let line: Vec<f64> = (0..20).map(f64::from).collect();
        let ripple: Vec<f64> = (0..24).map(|at| 1000.0 + f64::from(at % 6)).collect();
        let spikes: Vec<f64> =
            (0..24).map(|at| if [2, 11, 17].contains(&at) { 900.0 } else { 100.0 + f64::from(at) }).collect();
        // 64 KiB ten times a second, purged at 1.7 MiB: two to three snapshots of a second each.
        let fast: Vec<f64> = (0..20).map(|at| f64::from((at * 655 + 688) % 1770)).collect();
        let cases: [(&str, Vec<f64>, Option<usize>); 10] = [
            ("spikes", spikes, None),
            ("faster than the snapshots", fast, Some(7)),
            ("period 6", cycle(6, 0.0), Some(3)),
            ("period 4", cycle(4, 0.0), Some(5)),
            ("period 3", cycle(3, 0.0), Some(7)),
            ("purged to a half", cycle(6, 0.5), Some(3)),
            ("noise", noise, None),
            ("one hump", hump, None),
            ("line", line, None),
            ("ripple on a high level", ripple, None),
        ];
        for (name, values, purges) in cases {
            assert_eq!(find(&values).map(|found| found.purges), purges, "{name}");
        }
    }

    #[test]
    fn valleys_are_the_low_ends() {
        let values = [0.0, 5.0, 10.0, 2.0, 7.0, 12.0, 4.0, 9.0, 14.0, 6.0];
        assert_eq!(find(&values).unwrap().valleys, [3, 6, 9]);
    }
}
