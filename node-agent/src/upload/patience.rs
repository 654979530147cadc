//! How long, and how often, an upload is tried.

use std::time::Duration;

/// An operator that is away for an hour is not waited for any longer.
const WHOLE: Duration = Duration::from_hours(1);
/// Longest pause between two tries.
const LONGEST: Duration = Duration::from_mins(1);

/// The pauses between the tries of one upload: 1 s, 2 s, 4 s ... a minute, for an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    spent: Duration,
    next: Duration,
}

impl Patience {
    /// Patience of which some was spent before a restart.
    pub(crate) fn after(spent: Duration) -> Self {
        Self { spent, next: Duration::from_secs(1) }
    }

    /// How long to wait before the next try, at least as long as the operator asks for; `None` when it is used up.
    pub(crate) fn pause(&mut self, asked: Option<Duration>) -> Option<Duration> {
        if self.spent >= WHOLE {
            return None;
        }
        let pause = self.next.max(asked.unwrap_or_default()).min(LONGEST);
        self.next = (self.next * 2).min(LONGEST);
        self.spent += pause;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_end_after_an_hour() {
        let mut patience = Patience::after(Duration::ZERO);
        let pauses: Vec<u64> =
            std::iter::from_fn(|| patience.pause(None)).map(|pause| pause.as_secs()).collect();
        assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        let all: u64 = pauses.iter().sum();
        assert!((3600..3660).contains(&all), "{all}");
    }

    #[test]
    fn what_the_operator_asks_for_and_what_was_spent_before_counts() {
        let mut patience = Patience::after(Duration::from_secs(3595));
        assert_eq!(patience.pause(Some(Duration::from_secs(30))), Some(Duration::from_secs(30)));
        assert_eq!(patience.pause(None), None);
        let mut patience = Patience::after(Duration::ZERO);
        assert_eq!(patience.pause(Some(Duration::from_hours(9))), Some(Duration::from_mins(1)));
    }
}
