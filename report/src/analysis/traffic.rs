//! Growth because there is more to do: by Little's law (live = rate x lifetime) live bytes grow with the rate of allocation
//! while every block lives as long as before. A queue that falls behind is the other way round: its blocks live ever longer.

use super::{observation::Observation, trend};

/// Blocks allocated per second, in the middle third of the time and in the last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Traffic {
    pub(super) before: f64,
    pub(super) after: f64,
}

/// Steps between snapshots below which a rate has no trend worth the name.
const FEWEST_STEPS: usize = 9;
/// Most that a lifetime may have grown by and still count as the same.
const SAME: f64 = 1.1;

/// Whether a rising rate of allocation explains the growth of live bytes. The first third is left out: then blocks have not
/// lived long enough to show how long they live. Blocks are counted and not their bytes, since a buffer that is made ever
/// larger allocates ever more bytes too.
pub(super) fn explains(o: &Observation<'_>) -> Option<Traffic> {
    let rates: Vec<f64> = o.allocated.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let steps: Vec<f64> = o.grid.seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
    if !o.has_cohorts || rates.len() < FEWEST_STEPS || rates.len() != steps.len() {
        return None;
    }
    let per_second: Vec<f64> = rates.iter().zip(&steps).map(|(blocks, seconds)| blocks / seconds).collect();
    let rising = trend::mann_kendall(&per_second).is_some_and(|trend| trend.rising && trend.p_value < 0.05);
    let (middle, last) = (rates.len() / 3, rates.len() * 2 / 3);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (before, after) = (mean(&per_second[middle..last]), mean(&per_second[last..]));
    // live[step + 1] is what was live at the end of a step.
    let lifetime = mean(&o.live[middle + 1..=last]) / before;
    let lifetime_after = mean(&o.live[last + 1..]) / after;
    // Live blocks lag behind a rising rate by one lifetime, so Little's law is met late; cohorts show lifetimes at once.
    let same = o.lifetime_growth.is_some_and(|growth| growth <= SAME) || lifetime_after <= SAME * lifetime;
    let explained = rising && after > SAME * before && same;
    explained.then_some(Traffic { before, after })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analysis::series::Grid,
        recording::{Mode, StackCounters},
    };

    /// Live bytes and rates of allocation, a second apart.
    fn explained(live: impl Fn(f64) -> f64, rate: impl Fn(f64) -> f64) -> bool {
        let seconds: Vec<f64> = (1..=20).map(f64::from).collect();
        let grid = Grid { snapshots: (0..20).collect(), seconds: seconds.clone(), recorded: 20 };
        let mut sum = 0.0;
        let allocated = seconds
            .iter()
            .map(|at| {
                sum += rate(*at);
                sum
            })
            .collect();
        let observation = Observation {
            mode: Mode::Heap,
            grid: &grid,
            live: seconds.iter().map(|at| live(*at)).collect(),
            allocated,
            last: StackCounters::default(),
            grew_every_snapshot: true,
            growing_share: 1.0,
            trend: None,
            slope: None,
            thirds: None,
            draws: None,
            noise: 0.0,
            residue: None,
            lifetime_growth: None,
            has_cohorts: true,
        };
        explains(&observation).is_some()
    }

    #[test]
    fn more_traffic_explains_what_grows_with_it_and_nothing_else() {
        let ramp = |at: f64| 10.0 + 3.0 * at;
        assert!(explained(|at| 2.0 * ramp(at), ramp), "every block lives for two seconds");
        assert!(!explained(|at| 500.0 * at, |_| 10.0), "a queue that falls behind at a steady rate");
        assert!(!explained(|at| at * ramp(at), ramp), "a queue that falls behind while traffic grows");
        assert!(!explained(|at| 500.0 * at, |at| 90.0 - 3.0 * at), "less traffic explains no growth");
    }
}
