//! Growth in jumps: a table that doubles, a configuration loaded again.

/// Share of all growth that the largest jumps have to make up.
const MOST_GROWTH: f64 = 0.9;
/// Jumps there may be, as a share of all steps between snapshots.
const FEW: f64 = 0.25;

/// The jumps of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Steps {
    /// Where it jumped: indices of the points behind the jumps, rising.
    pub(super) jumps: Vec<usize>,
    /// Of all growth, what these jumps make up.
    pub(super) share: f64,
}

/// Finds the few jumps that make up nearly all growth; `None` when growth is spread, or mostly undone again.
pub(super) fn find(values: &[f64]) -> Option<Steps> {
    let mut growth: Vec<(usize, f64)> = values
        .windows(2)
        .enumerate()
        .map(|(at, pair)| (at + 1, pair[1] - pair[0]))
        .filter(|(_, change)| *change > 0.0)
        .collect();
    let all: f64 = growth.iter().map(|(_, change)| change).sum();
    let net = values.last()? - values.first()?;
    if values.len() < 5 || net <= 0.0 || net < all / 2.0 {
        return None;
    }
    growth.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut covered = 0.0;
    let mut jumps: Vec<usize> = growth
        .iter()
        .take_while(|(_, change)| {
            let needed = covered < MOST_GROWTH * all;
            covered += if needed { *change } else { 0.0 };
            needed
        })
        .map(|(at, _)| *at)
        .collect();
    jumps.sort_unstable();
    let most = ((values.len() - 1) as f64 * FEW).max(1.0);
    (jumps.len() as f64 <= most).then(|| Steps { jumps, share: covered / all })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_few_jumps_are_steps() {
        let steps = |at: &[usize]| -> Vec<f64> {
            (0..20)
                .map(|now| 100.0 + 1000.0 * at.iter().filter(|jump| **jump <= now).count() as f64)
                .collect()
        };
        let line: Vec<f64> = (0..20).map(f64::from).collect();
        let doubling: Vec<f64> = (0..20).map(|at| f64::from(1 << (at / 3))).collect();
        let undone: Vec<f64> = (0..20).map(|at| if (5..15).contains(&at) { 100.0 } else { 0.0 }).collect();
        let cases: [(&str, Vec<f64>, Option<Vec<usize>>); 8] = [
            ("one", steps(&[12]), Some(vec![12])),
            ("four", steps(&[3, 8, 13, 18]), Some(vec![3, 8, 13, 18])),
            ("seven", steps(&[2, 4, 7, 9, 11, 14, 17]), None),
            ("line", line, None),
            ("doubling", doubling, Some(vec![9, 12, 15, 18])),
            ("undone", undone, None),
            ("flat", steps(&[]), None),
            ("two snapshots", vec![1.0, 2.0], None),
        ];
        for (name, values, jumps) in cases {
            assert_eq!(find(&values).map(|steps| steps.jumps), jumps, "{name}");
        }
    }
}
