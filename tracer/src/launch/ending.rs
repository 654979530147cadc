//! Ends a program that we started, and what it has started.

use std::{
    io,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::process::{ProcessId, descendants};

/// Time to end by itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks a process and its descendants to end, waits two seconds, and insists. A shell that was told to run a server ends
/// at once and would leave the server behind. What has made itself a daemon is no descendant any more and runs on.
pub(super) fn end_tree(root: ProcessId) -> io::Result<()> {
    // before the root ends, since its children then lose their parent
    let members: Vec<OwnedFd> = [root].into_iter().chain(descendants(root)).filter_map(open).collect();
    for member in &members {
        send(member, Signal::TERM)?;
    }
    let deadline = Instant::now() + PATIENCE;
    for member in &members {
        if !has_ended_by(deadline, member)? {
            send(member, Signal::KILL)?;
        }
    }
    Ok(())
}

/// A descriptor that means this process for ever, also when its number is given to another.
fn open(id: ProcessId) -> Option<OwnedFd> {
    let descriptor = pidfd_open(Pid::from_raw(id.pid.cast_signed())?, PidfdFlags::empty()).ok()?;
    id.is_alive().then_some(descriptor)
}

fn send(process: &OwnedFd, signal: Signal) -> io::Result<()> {
    match pidfd_send_signal(process, signal) {
        Err(rustix::io::Errno::SRCH) => Ok(()), // it has ended
        result => Ok(result?),
    }
}

fn has_ended_by(deadline: Instant, process: &OwnedFd) -> io::Result<bool> {
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(rest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: rest.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            result => return Ok(result? > 0),
        }
    }
}
