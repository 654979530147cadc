//! What a growth rests on when only a sample was followed: each drawn block lifts the sum by all that it stands for, which
//! looks like a jump.

/// The draws that a growth was made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Draws {
    /// As many draws of equal weight would make the sum as sure as it is.
    pub(super) count: f64,
    /// Bytes that one of them stands for.
    pub(super) weight: f64,
}

/// Draws that may be too few to tell one jump from three, or a few requests in flight from a growth.
const FEWEST: f64 = 6.0;
/// Draws that tell a steady growth from jumps and from a growth that ends, in nearly any run.
const PLENTY: f64 = 30.0;
/// Below this nobody believes that it was chance.
const CHANCE: f64 = 0.01;
/// The finest sample: below it every allocation is followed.
const FINEST: f64 = 1024.0;

impl Draws {
    /// Those of all growth from point to point, by live bytes and their standard error. `None` when nothing of it was drawn by chance.
    pub(super) fn of(live: &[f64], error: &[f64]) -> Option<Self> {
        let steps = live.windows(2).zip(error.windows(2));
        let grown = steps
            .filter(|(live, _)| live[1] > live[0])
            .map(|(live, error)| (live[1] - live[0], (error[1].powi(2) - error[0].powi(2)).max(0.0)));
        let (growth, variance) = grown.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (variance > 0.0).then(|| Self { count: growth * growth / variance, weight: variance / growth })
    }

    pub(super) fn are_too_few(self) -> bool {
        self.count < FEWEST
    }

    pub(super) fn are_plenty(self) -> bool {
        self.count >= PLENTY
    }

    /// Draws of a steady growth would hardly fall, with `share` of all, into so few of the steps between snapshots.
    pub(super) fn show_jumps(self, jumps: usize, share: f64, steps: usize) -> bool {
        let (jumps, steps) = (jumps as f64, steps as f64);
        let within = share * self.count;
        let chance = ln_choose(steps, jumps) + ln_choose(self.count, within) + within * (jumps / steps).ln();
        chance < CHANCE.ln()
    }

    /// Draws of a steady growth would hardly all fall into this share of the time.
    pub(super) fn show_end(self, share: f64) -> bool {
        self.count * share.ln() < CHANCE.ln()
    }

    /// Whether one growth is larger than another by more than chance, where both are made of such draws.
    pub(super) fn tell_apart(self, large: f64, small: f64) -> bool {
        large - small > 2.0 * (self.weight * (large + small).max(0.0)).sqrt()
    }

    /// The period, in bytes, at which there would have been plenty.
    pub(super) fn finer(self) -> u64 {
        let period = (self.weight * self.count / PLENTY).max(FINEST);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates; never negative"
        )]
        let whole = period as u64;
        1 << whole.ilog2()
    }
}

/// How far a sum may be off, in 19 of 20 samples: twice its standard error, and three draws where there might have been as
/// many although none was seen.
pub(super) fn blur(error: u64, period: u64) -> f64 {
    2.0 * error as f64 + 3.0 * period as f64
}

/// Logarithm of the ways to choose `some` of `all`.
fn ln_choose(all: f64, some: f64) -> f64 {
    libm::lgamma(all + 1.0) - libm::lgamma(some + 1.0) - libm::lgamma((all - some).max(0.0) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_counted_by_their_error() {
        // five draws of 100, of which 10 % were certain to be drawn
        let live = [0.0, 100.0, 100.0, 300.0, 500.0];
        let error = [0.0, 0.9, 0.9, 2.7, 4.5].map(|draws: f64| (draws * 1e4).sqrt());
        let draws = Draws::of(&live, &error).unwrap();
        assert!((draws.count - 5.0 / 0.9).abs() < 1e-9 && (draws.weight - 90.0).abs() < 1e-9, "{draws:?}");
        assert_eq!(Draws::of(&live, &[0.0; 5]), None, "every block was followed");
        assert_eq!(Draws::of(&[500.0, 100.0], &[200.0, 50.0]), None, "nothing grew");
        assert!(Draws::of(&live, &[0.0, 0.0, 0.0, 0.0, 1.0]).is_some_and(Draws::are_plenty), "a certain one");
    }

    #[test]
    fn jumps_are_what_chance_cannot_make() {
        for (count, jumps, share, expected) in [
            (1.0, 1, 1.0, false),
            (2.0, 1, 1.0, false), // one in twenty
            (3.0, 1, 1.0, true),  // one in four hundred
            (4.0, 4, 1.0, false),
            (10.0, 4, 1.0, true),
            (10.0, 5, 1.0, false), // 15,504 in 4^10, which is 1.5 %
            (100.0, 5, 0.9, true),
        ] {
            let draws = Draws { count, weight: 1.0 };
            assert_eq!(draws.show_jumps(jumps, share, 20), expected, "{count} draws in {jumps}");
        }
        let draws = |count| Draws { count, weight: 1.0 };
        assert!(!draws(4.0).show_end(0.4) && draws(6.0).show_end(0.4));
        assert!(draws(20.0).tell_apart(16.0, 4.0) && !draws(13.0).tell_apart(9.0, 4.0));
    }

    #[test]
    fn a_finer_sample_draws_plenty() {
        let draws = Draws { count: 3.0, weight: 524_288.0 };
        assert_eq!(draws.finer(), 32_768);
        assert_eq!(Draws { count: 3.0, weight: 1000.0 }.finer(), 1024);
    }
}
