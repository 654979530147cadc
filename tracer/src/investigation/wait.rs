//! Waiting for the next snapshot, for the target's end, or for somebody who stops us.

use std::{
    os::fd::OwnedFd,
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
    /// Somebody asked us to stop.
    Stopped,
    /// Watching costs the target more than it may.
    TooDear,
}

/// Waits until a moment, calling `meanwhile` a few times a second.
pub(super) fn wait_until<'a>(
    moment: Instant,
    watches: impl Fn() -> Vec<&'a EndWatch>,
    stop: &AtomicBool,
    mut meanwhile: impl FnMut(),
) -> Woken {
    const STEP: Duration = Duration::from_millis(200);
    loop {
        if stop.load(Ordering::Relaxed) {
            return Woken::Stopped;
        }
        let alive: Vec<&EndWatch> = watches().into_iter().filter(|watch| !watch.has_ended()).collect();
        if alive.is_empty() {
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
        let timeout = Timespec {
            tv_sec: i64::try_from(step.as_secs()).unwrap_or(0),
            tv_nsec: step.subsec_nanos().into(),
        };
        // interrupted by a signal: the loop looks at `stop` next
        let _ready_or_interrupted = poll(&mut watched, Some(&timeout));
        meanwhile();
    }
}
