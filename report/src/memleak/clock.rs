//! From the time of day of each snapshot to the time since the start.

use std::collections::BTreeMap;

const DAY: u32 = 24 * 60 * 60;

/// Follows the clock of a log, which has hours, minutes and seconds but no date.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock {
    last: Option<u32>,
    elapsed: u64,
    /// How often each step between two snapshots was taken, in seconds.
    steps: BTreeMap<u32, u64>,
}

impl Clock {
    /// Seconds from the first snapshot to the one at `second` of the day, and whether the clock went on as a clock does.
    ///
    /// A step back of less than 12 hours is somebody setting the clock (or the end of summer time) and counts as the
    /// usual step; a larger one is midnight.
    pub(super) fn advance(&mut self, second: u32) -> (u64, bool) {
        let second = second % DAY; // a leap second is written :60
        let Some(last) = self.last.replace(second) else { return (0, true) };
        let step = (second + DAY - last) % DAY;
        let plausible = (1..=DAY / 2).contains(&step);
        if plausible {
            *self.steps.entry(step).or_default() += 1;
            self.elapsed += u64::from(step);
        } else {
            self.elapsed += self.interval().max(1);
        }
        (self.elapsed, plausible)
    }

    /// The median step in seconds; 0 before the second snapshot.
    pub(super) fn interval(&self) -> u64 {
        let half = self.steps.values().sum::<u64>() / 2;
        let mut passed = 0;
        for (&step, &count) in &self.steps {
            passed += count;
            if passed > half {
                return u64::from(step);
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn midnight_is_one_step_and_a_clock_set_back_is_counted() {
        let at = |hour: u32, minute: u32, second: u32| (hour * 60 + minute) * 60 + second;
        let mut clock = Clock::default();
        assert_eq!(clock.advance(at(23, 59, 50)), (0, true));
        assert_eq!(clock.advance(at(23, 59, 55)), (5, true));
        assert_eq!(clock.advance(at(0, 0, 1)), (11, true), "over midnight");
        assert_eq!(clock.advance(at(0, 0, 6)), (16, true));
        assert_eq!(clock.interval(), 5);
        assert_eq!(clock.advance(at(23, 0, 11)), (21, false), "an hour back");
        assert_eq!(clock.advance(at(23, 0, 11)), (26, false), "the same second again");
        assert_eq!(clock.advance(at(23, 0, 16)), (31, true));
    }
}
