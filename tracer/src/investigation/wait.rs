//! Waiting for the next snapshot, for the target's end, or for somebody who stops us.

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::process::ProcessId;

/// Tells when a process ends.
#[derive(Debug)]
pub(super) enum EndWatch {
    /// A descriptor that becomes readable then.
    Descriptor(OwnedFd),
    /// It had ended before.
    Ended,
    /// There was no descriptor to be had, so it is looked for.
    Looked(ProcessId),
}

impl EndWatch {
    /// Watches a process; one that has ended already shows at the next wait.
    pub(super) fn new(process: ProcessId) -> Self {
        let Some(pid) = Pid::from_raw(process.pid.cast_signed()) else { return Self::Ended };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => Self::Descriptor(descriptor),
            Err(Errno::SRCH) => Self::Ended,
            Err(error) => {
                tracing::debug!(%error, process.pid, "its end is looked for a few times a second");
                Self::Looked(process)
            }
        }
    }

    /// Whether the process has ended.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Descriptor(descriptor) => {
                let mut watched = [PollFd::new(descriptor, PollFlags::IN)];
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                poll(&mut watched, Some(&now)).is_ok_and(|ready| ready > 0)
            }
            Self::Ended => true,
            Self::Looked(process) => process.verify().is_err_and(|error| error.has_ended()),
        }
    }

    fn descriptor(&self) -> Option<&OwnedFd> {
        match self {
            Self::Descriptor(descriptor) => Some(descriptor),
            Self::Ended | Self::Looked(_) => None,
        }
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
            .filter_map(|watch| watch.descriptor())
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
    fn an_end_is_noticed_with_and_without_a_descriptor() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId::find(child.id()).unwrap();
        let watches = [EndWatch::new(id), EndWatch::Looked(id)];
        assert!(matches!(watches[0], EndWatch::Descriptor(_)));
        assert!(!watches.iter().any(EndWatch::has_ended));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(watches.iter().all(EndWatch::has_ended));
        assert!(EndWatch::new(id).has_ended(), "a number that is free again");
    }

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
