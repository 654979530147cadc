//! How fast new processes are taken on: probing one costs us some milliseconds, and a target may fork a thousand times a second.

use std::time::Instant;

/// At once, and then a second.
const BURST: f64 = 64.0;
const PER_SECOND: f64 = 10.0;

/// How many may come now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    room: f64,
    at: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { room: BURST, at: now }
    }

    /// Whether one more may come.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.room = (self.room + passed * PER_SECOND).min(BURST);
        self.at = now;
        let admitted = self.room >= 1.0;
        if admitted {
            self.room -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_storm_is_thinned_and_a_few_are_all_admitted() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let second = |pace: &mut Pace, from: Instant, count: u32| {
            let at = |number: u32| from + Duration::from_secs(1) * number / count;
            (0..count).filter(|number| pace.admits(at(*number))).count()
        };
        assert_eq!(second(&mut pace, start, 20), 20);
        let storm = second(&mut pace, start + Duration::from_secs(1), 1000);
        assert!((54..=74).contains(&storm), "{storm}");
        let storm = second(&mut pace, start + Duration::from_secs(2), 1000);
        assert!((9..=11).contains(&storm), "{storm}");
    }
}
