//! How busy the target keeps the processors by itself: before the probes, with them, and after them.

use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};

use crate::{accounting::account, process::ProcessId};

/// The processor time of some processes at one moment.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    at: Instant,
    used: Vec<(ProcessId, u64)>,
}

/// The kernel accounts in ticks of 10 ms: less than this would be mostly rounding.
const SHORTEST: Duration = Duration::from_millis(200);

impl Reading {
    pub(super) fn take(processes: impl Iterator<Item = ProcessId>) -> Self {
        let used = processes.filter_map(|id| Some((id, account(id)?.cpu_ns))).collect();
        Self { at: Instant::now(), used }
    }

    /// Cores kept busy from `self` to `later`, by the processes that are in both; `None` when that is too short to tell.
    pub(super) fn until(&self, later: &Self) -> Option<f64> {
        let passed = later.at.saturating_duration_since(self.at);
        let in_both = self.used.iter().filter_map(|(id, before)| {
            let (_, after) = later.used.iter().find(|(other, _)| other == id)?;
            Some(after.saturating_sub(*before))
        });
        let spent: Vec<u64> = in_both.collect();
        (passed >= SHORTEST && !spent.is_empty())
            .then(|| spent.iter().sum::<u64>() as f64 / passed.as_nanos() as f64)
    }
}

/// Cores of the machine that are on.
pub(super) fn cores() -> u32 {
    let online = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    online.and_then(|cores| u32::try_from(cores).ok()).map_or(1, |cores| cores.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_time_used_over_time_passed() {
        let id = |pid| ProcessId { pid, start_ticks: 1 };
        let at = Instant::now();
        let before = Reading { at, used: vec![(id(1), 5_000_000), (id(2), 0), (id(3), 7)] };
        let later = at + Duration::from_secs(1);
        let after =
            Reading { at: later, used: vec![(id(1), 505_000_000), (id(3), 1_000_000_007), (id(4), 9)] };
        assert_eq!(before.until(&after), Some(1.5));
        assert_eq!(before.until(&Reading { at: at + SHORTEST / 2, ..after.clone() }), None);
        assert_eq!(before.until(&Reading { used: Vec::new(), ..after }), None);
    }
}
