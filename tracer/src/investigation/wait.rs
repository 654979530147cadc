//! Waiting for the next snapshot, for the target's end, or for somebody who stops us.

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::process::ProcessId;

/// A descriptor that becomes readable when a process ends.
#[derive(Debug)]
pub(super) struct EndWatch(Option<OwnedFd>);

impl EndWatch {
    /// Watches a process; one that has ended already shows at the next wait.
    pub(super) fn new(process: ProcessId) -> Self {
        let pid = Pid::from_raw(process.pid.cast_signed());
        Self(pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()))
    }

    /// Whether the process has ended.
    pub(super) fn has_ended(&self) -> bool {
        let Some(descriptor) = &self.0 else { return true };
        let mut watched = [PollFd::new(descriptor, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut watched, Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// It is time.
    Due,
    /// All watched processes have ended.
    AllEnded,
    /// There is news of processes.
    News,
    /// Somebody asked us to stop.
    Stopped,
    /// Watching costs the target more than it may.
    TooDear,
}

/// Waits until a moment, calling `meanwhile` a few times a second.
pub(super) fn wait_until<'a>(
    moment: Instant,
    watches: impl Fn() -> Vec<&'a EndWatch>,
    news: Option<BorrowedFd<'a>>,
    stop: &AtomicBool,
    mut meanwhile: impl FnMut(),
) -> Woken {
    const STEP: Duration = Duration::from_millis(200);
    loop {
        if stop.load(Ordering::Relaxed) {
            return Woken::Stopped;
        }
        let all = watches();
        let alive: Vec<&EndWatch> = all.iter().copied().filter(|watch| !watch.has_ended()).collect();
        if alive.is_empty() && !all.is_empty() {
            return Woken::AllEnded;
        }
        let rest = moment.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Woken::Due;
        }
        let step = rest.min(STEP);
        let mut watched: Vec<PollFd<'_>> = alive
            .iter()
            .filter_map(|watch| watch.0.as_ref())
            .map(|fd| PollFd::new(fd, PollFlags::IN))
            .collect();
        if let Some(news) = &news {
            watched.push(PollFd::new(news, PollFlags::IN));
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(step.as_secs()).unwrap_or(0),
            tv_nsec: step.subsec_nanos().into(),
        };
        // interrupted by a signal: the loop looks at `stop` next
        let _ready_or_interrupted = poll(&mut watched, Some(&timeout));
        let told = news.is_some() && watched.last().is_some_and(|fd| fd.revents().contains(PollFlags::IN));
        meanwhile();
        if told {
            return Woken::News;
        }
    }
}

/// When the next snapshot is due: an interval after the one before was, or at the end. After a late one at least half of that
/// is waited: snapshots that follow each other at once show a program that does nothing, as if its leak had paused.
pub(super) fn next_due(before: Instant, interval: Duration, end: Instant, now: Instant) -> Instant {
    let due = (before + interval).min(end);
    due.max(now + due.saturating_duration_since(before) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_keep_their_distance_when_one_is_late() {
        let began = Instant::now();
        let at = |tenths: u64| began + Duration::from_millis(100 * tenths);
        let next = |before, now| next_due(at(before), Duration::from_secs(1), at(50), at(now));
        assert_eq!(next(0, 0), at(10));
        assert_eq!(next(10, 12), at(20), "a little late is made up for");
        assert_eq!(next(10, 19), at(24), "more is not");
        assert_eq!(next(10, 90), at(95));
        assert_eq!(next(45, 45), at(50), "the last stretch may be short");
        assert_eq!(next(40, 49), at(54), "the end waits as well");
    }
}
