//! The cut between blocks that are merely young and blocks that stay.
//!
//! Whatever a program allocates is live for a while, so the youngest blocks say nothing. How long is "a while" differs from
//! stack to stack; the cohorts tell. The cut is the youngest age after which next to nothing is freed any more, in cohorts
//! that were watched well beyond it. What these have left is the residue: of a leak each cohort leaves some, of a cache
//! with a time to live none does.

use super::cohort::Cohorts;

/// Cohorts that must have been watched beyond the cut.
const FEWEST_COHORTS: usize = 3;
/// Of what a cohort has left at the cut, this much is still there at the end, on average.
const STAYS: f64 = 0.95;

/// What the cohorts that were watched well beyond the cut leave behind.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Residue {
    /// The cut: snapshots after the end of a cohort.
    pub(super) cut: usize,
    /// Bytes left of each of these cohorts, by time of birth.
    pub(super) left: Vec<f64>,
    /// End of each cohort, seconds since the start.
    pub(super) ends: Vec<f64>,
    /// Bytes allocated in them.
    pub(super) allocated: f64,
}

impl Residue {
    /// Finds the cut. `None` when blocks of every age are still being freed, or there are too few cohorts to tell.
    pub(super) fn of(cohorts: &Cohorts<'_>) -> Option<Self> {
        let longest = cohorts.live.first().map_or(0, Vec::len);
        // How long a cohort has to be watched beyond the cut: blocks must have had the time to die.
        let watch = (longest / 4).max(2);
        (0..longest).find_map(|cut| {
            let watched = || cohorts.live.iter().filter(move |live| live.len() > cut + watch);
            if watched().count() < FEWEST_COHORTS {
                return None;
            }
            let shares =
                watched().filter(|live| live[cut] > 0.0).map(|live| live[live.len() - 1] / live[cut]);
            let (count, sum) = shares.fold((0_u32, 0.0), |(count, sum), share| (count + 1, sum + share));
            (sum >= STAYS * f64::from(count)).then(|| Self::behind(cohorts, cut, watched().count()))
        })
    }

    fn behind(cohorts: &Cohorts<'_>, cut: usize, old: usize) -> Self {
        Self {
            cut,
            left: cohorts.live[..old].iter().map(|live| live[live.len() - 1]).collect(),
            ends: cohorts.stretches.ends[..old].to_vec(),
            allocated: cohorts.allocated[..old].iter().sum(),
        }
    }

    /// Bytes left of all these cohorts.
    pub(super) fn bytes(&self) -> f64 {
        self.left.iter().sum()
    }

    /// Share of what they allocated; absent when they allocated nothing.
    pub(super) fn survival(&self) -> Option<f64> {
        (self.allocated > 0.0).then(|| (self.bytes() / self.allocated).min(1.0))
    }
}

/// How much longer the blocks of later cohorts live than those of earlier ones, up to a quarter of the run; 1 is the same.
/// `None` when there are too few cohorts to compare.
pub(super) fn lifetime_growth(cohorts: &Cohorts<'_>) -> Option<f64> {
    let longest = cohorts.live.first().map_or(0, Vec::len);
    let watch = (longest / 4).max(2);
    let watched = cohorts.live.iter().zip(&cohorts.allocated);
    let lives: Vec<(f64, f64)> = watched
        .filter(|(live, allocated)| live.len() > watch && **allocated > 0.0)
        .map(|(live, allocated)| (live[..=watch].iter().sum::<f64>(), *allocated))
        .collect();
    let half = lives.len() / 2;
    let mean = |lives: &[(f64, f64)]| {
        let (lived, allocated) = lives.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        lived / allocated
    };
    let (early, late) = (mean(&lives[..half]), mean(&lives[half..]));
    (half >= FEWEST_COHORTS && early > 0.0).then_some(late / early)
}

#[cfg(test)]
mod tests;
