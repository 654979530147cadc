//! The work on one probe, from its order to the operator's receipt.
//!
//! ```text
//! begin -> place -> epoch -> epoch ... -> delivery
//! ```
//!
//! A deleted probe closes `orders`; then everything is taken off and forgotten. When the agent ends, what was seen stays in
//! the spool for the next one.

mod delivery;
mod epoch;
mod pace;
mod prepare;
mod waiting;

use std::{path::PathBuf, sync::Arc, time::Duration};

use kube::ResourceExt;
use leakhound_crds::{LeakProbe, investigation::wishes::OnContainerRestart, probe::ProbeReason};
use tokio::{sync::watch, time::Instant};

use crate::{
    clock,
    context::Context,
    decision::{self, Begin},
    outcome::{self, Outcome},
    spool::{Entry, Ticket},
    status::{Upload, Word, Writer, Written},
};

use epoch::End;

/// Orders for one probe: the probe as the API has it. Closed when it is deleted.
pub(crate) type Orders = watch::Receiver<Arc<LeakProbe>>;

/// A program that has just been started has not loaded its allocator yet: so long it is looked for.
const LOADING: Duration = Duration::from_secs(10);

/// The work on one probe.
struct Work {
    context: Context,
    orders: Orders,
    /// The order that is being followed.
    probe: Arc<LeakProbe>,
    writer: Writer,
    entry: Entry,
    ticket: Ticket,
    deadline: Instant,
}

/// How watching was left.
enum Left {
    /// With a result, or a reason for none.
    Ended(Outcome),
    /// The probe is not wanted any more.
    Deleted,
    /// The agent ends.
    Drained,
}

/// Works on a probe until it is over, deleted, or the agent ends. Gives the probe as the API has it then, which the watch may
/// not have told yet.
pub(crate) async fn work(context: Context, orders: Orders) -> LeakProbe {
    let probe = orders.borrow().clone();
    let entry = context.spool.entry(&probe.uid().unwrap_or_default());
    let ticket = entry.ticket();
    let now = clock::now();
    let begin = decision::begin(&probe, ticket.as_ref(), &context.speaker.run, now);
    let writer = Writer::new(
        context.api.clone(),
        context.metrics.clone(),
        context.speaker.clone(),
        probe.as_ref().clone(),
    );
    let deadline = deadline(&probe);
    let ticket = ticket.unwrap_or_else(|| Ticket::told(&probe));
    let mut work = Work { context, orders, probe, writer, entry, ticket, deadline };
    let left = match begin {
        Begin::Nothing => return work.writer.into_probe(),
        Begin::Finish(outcome) => Left::Ended(outcome),
        Begin::Watch { left, again } => {
            tracing::info!(probe = %work.probe.name_any(), ?left, again, "begun");
            work.watch(left, again).await
        }
    };
    match left {
        Left::Ended(outcome) => work.deliver(outcome).await,
        Left::Deleted => work.forget(),
        Left::Drained => work.keep().await,
    }
    work.writer.into_probe()
}

/// The deadline on our own clock, which nobody sets: once read, it stands whatever happens to the time of day.
fn deadline(probe: &LeakProbe) -> Instant {
    let left = probe.spec.deadline_time.0.duration_since(clock::now());
    Instant::now() + Duration::try_from(left).unwrap_or_default()
}

impl Work {
    /// Watches the container, and those that follow it, until the time is up or something ends it.
    async fn watch(&mut self, mut left: Duration, again: bool) -> Left {
        // once it ran it is running: what another restart means depends on it
        let (reason, accepted) = match again {
            true => (ProbeReason::Running, "another agent goes on"),
            false => (ProbeReason::Pending, "accepted by the agent"),
        };
        if self.say(reason, accepted).await == Written::ProbeGone {
            return Left::Deleted;
        }
        let mut loaded = Instant::now() + LOADING;
        let (mut follows, mut pod_folder) = (false, None::<PathBuf>); // a container that has ended, and its pod's folder
        loop {
            let place = match self.place().await {
                Ok(place) => place,
                Err(left) => return left,
            };
            let before = self.ticket.watched_ms();
            let end = self.epoch(left).await;
            drop(place);
            left =
                left.saturating_sub(Duration::from_millis(self.ticket.watched_ms().saturating_sub(before)));
            let ended = |reason, message: &str| Left::Ended(Outcome::now(reason, message));
            let next = match end {
                End::Deleted => return Left::Deleted,
                End::Drained => return Left::Drained,
                End::Failed(outcome)
                    if outcome.reason() == ProbeReason::AllocatorNotFound && Instant::now() < loaded =>
                {
                    match self.pause().await {
                        Some(left) => return left,
                        None => continue,
                    }
                }
                // the next one ended before its probes were on, as a container does that keeps failing
                End::Failed(outcome) if follows && outcome.reason() == ProbeReason::TargetGone => {
                    self.next_container(&outcome.message, pod_folder.as_deref()).await
                }
                End::Failed(outcome) => return Left::Ended(outcome),
                End::Stopped => return ended(ProbeReason::StoppedEarly, "stopped"),
                End::TooDear(why) => return ended(ProbeReason::StoppedEarly, &why),
                End::Deadline => {
                    return ended(
                        ProbeReason::DeadlineExceeded,
                        "the deadline came before all of the time was watched",
                    );
                }
                End::Time => {
                    return ended(ProbeReason::Completed, &outcome::complete(self.ticket.stretches()));
                }
                End::NextContainer if left < Duration::from_secs(1) => {
                    return ended(ProbeReason::Completed, &outcome::complete(self.ticket.stretches()));
                }
                End::NextContainer => Ok(()),
                End::TargetGone { oom_kills, pod_folder: folder } => {
                    let gone = outcome::gone(oom_kills);
                    match self.probe.spec.profile.on_container_restart {
                        // whether it was a restart, which may be a failure, only the operator can see
                        OnContainerRestart::Finish | OnContainerRestart::Fail => {
                            return ended(ProbeReason::TargetGone, &gone);
                        }
                        OnContainerRestart::Follow => {
                            (follows, pod_folder) = (true, folder);
                            self.next_container(&gone, pod_folder.as_deref()).await
                        }
                    }
                }
            };
            match next {
                Ok(()) => loaded = Instant::now() + LOADING,
                Err(left) => return left,
            }
        }
    }

    /// Says something about the probe with the numbers that are known.
    async fn say(&mut self, reason: ProbeReason, message: &str) -> Written {
        let word = self.word(reason, message, None);
        self.writer.say(&word).await
    }

    fn word(&self, reason: ProbeReason, message: &str, upload: Option<Upload>) -> Word {
        let fresh = leakhound_crds::LeakProbeStatus::default();
        let before = self.probe.status.as_ref().unwrap_or(&fresh);
        let kept = self.ticket.digest().and_then(|digest| digest.to_text().ok());
        Word {
            generation: self.probe.metadata.generation,
            reason,
            message: message.to_owned(),
            start_time: self.ticket.start_time.clone().or_else(|| before.start_time.clone()),
            last_snapshot: self.ticket.last_snapshot.clone().or_else(|| before.last_snapshot_time.clone()),
            watched: Duration::from_millis(self.ticket.watched_ms()),
            digest: kept.or_else(|| before.digest.clone()),
            upload,
        }
    }

    /// The probe is not wanted any more.
    fn forget(&self) {
        tracing::info!(probe = %self.probe.name_any(), "deleted: forgotten");
        if let Err(error) = self.entry.remove() {
            tracing::warn!(%error, "what was kept of a deleted probe stays");
        }
    }

    /// The next agent goes on with it.
    async fn keep(&mut self) {
        tracing::info!(probe = %self.probe.name_any(), "left to the next agent");
        self.save();
        if self.ticket.outcome.is_none() && !self.ticket.epochs.is_empty() {
            let message = "the agent on this node ended; the next one does as onAgentRestart says";
            self.say(ProbeReason::Running, message).await;
        }
    }

    fn save(&self) {
        if let Err(error) = self.entry.save(&self.ticket) {
            tracing::warn!(probe = %self.probe.name_any(), %error, "what was seen would not survive a restart of the agent");
        }
    }
}
