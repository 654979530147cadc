//! How often something is said: not more often than every ten seconds, and only with something new.

use std::time::Duration;

use tokio::time::Instant;

/// Time between two words about the same probe.
const LEAST: Duration = Duration::from_secs(10);

/// When to speak next.
#[derive(Debug, Default)]
pub(super) struct Pace {
    spoke: Option<Instant>,
    said_snapshots: usize,
}

impl Pace {
    /// Whether to speak now, with so many snapshots taken.
    pub(super) fn is_due(&self, snapshots: usize, now: Instant) -> bool {
        snapshots > self.said_snapshots && self.spoke.is_none_or(|spoke| now.duration_since(spoke) >= LEAST)
    }

    /// It was spoken.
    pub(super) fn spoke(&mut self, snapshots: usize, now: Instant) {
        *self = Self { spoke: Some(now), said_snapshots: snapshots };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_rare_and_new() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert!(!pace.is_due(0, start), "nothing to say yet");
        assert!(pace.is_due(1, start));
        pace.spoke(1, start);
        let later = |seconds| start + Duration::from_secs(seconds);
        assert!(!pace.is_due(2, later(9)));
        assert!(pace.is_due(2, later(10)));
        assert!(!pace.is_due(1, later(99)), "said already");
    }
}
