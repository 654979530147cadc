//! One stretch of watching one container without a gap.

use std::{path::PathBuf, sync::Arc, time::Duration};

use kube::ResourceExt;
use leakhound_crds::{Time, probe::ProbeReason};
use leakhound_report::{amount, recording::Recording};
use leakhound_tracer::investigation::Progress;
use tokio::time::Instant;

use super::{Work, pace::Pace, prepare::prepare};
use crate::{
    clock,
    container::{self, Container},
    decision::{self, Wish},
    digest::{Seen, digest},
    outcome::{self, Outcome},
    profile,
    spool::{Epoch, Tape},
    status::Written,
    watching::{Ended, WatchError, Watching},
};

/// How an epoch ended.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    /// All of its time was watched.
    Time,
    /// The operator wants it stopped.
    Stopped,
    /// The deadline passed.
    Deadline,
    /// It cost more than its budget: says which, and what to do.
    TooDear(String),
    /// The operator names another container.
    NextContainer,
    /// The container's processes are gone.
    TargetGone {
        /// How many the kernel killed for want of memory.
        oom_kills: u64,
        /// Where its pod is, to see whether that is gone too.
        pod_folder: Option<PathBuf>,
    },
    /// It could not be watched, or not any longer.
    Failed(Outcome),
    /// The probe was deleted.
    Deleted,
    /// The agent ends.
    Drained,
}

impl Work {
    /// Proves the container and watches it for at most `left`.
    pub(super) async fn epoch(&mut self, left: Duration) -> End {
        let (work, probe) = (self.context.clone(), Arc::clone(&self.probe));
        let prepared = tokio::task::spawn_blocking(move || {
            prepare(&work.cgroup_root, &probe.spec, left, &work.capabilities)
        });
        let mut ready = match prepared.await {
            Ok(Ok(ready)) => ready,
            Ok(Err(outcome)) => return End::Failed(outcome),
            Err(panic) => return End::Failed(Outcome::now(ProbeReason::AgentError, panic.to_string())),
        };
        let number = self.ticket.next_epoch();
        let tape =
            Tape::start(&self.entry.recording(number), self.context.recording_bytes, &self.context.spool);
        self.context.metrics.watched.inc();
        let watching = Watching::start(ready.job, tape);
        let mut epoch = Epoch {
            number,
            container_id: self.probe.spec.container_id.clone(),
            watched_ms: 0,
            lost: None,
            stored: None,
            digest: None,
        };
        let (noted, ended) = self.follow(watching, &ready.container, &mut ready.seen, &mut epoch).await;
        self.context.metrics.watched.dec();
        epoch.lost = ended.tape.err().map(|loss| loss.to_string());
        if epoch.digest.is_some() {
            self.ticket.note(epoch);
        }
        self.save();
        match (ended.result, noted) {
            (_, Some(End::Deleted)) => End::Deleted,
            (Err(WatchError::Investigation(error)), _) => End::Failed(outcome::of_tracer(&error)),
            (Err(error), _) => End::Failed(Outcome::now(ProbeReason::AgentError, error.to_string())),
            (Ok(()), Some(end)) => end,
            (Ok(()), None) => End::Time,
        }
    }

    /// Lets the tracer work, says how it goes, and ends it when it is time to.
    async fn follow(
        &mut self,
        mut watching: Watching,
        container: &Container,
        seen: &mut Seen,
        epoch: &mut Epoch,
    ) -> (Option<End>, Ended) {
        let mut noted: Option<End> = None;
        let mut pace = Pace::default();
        let mut snapshots = watching.snapshots();
        let mut beats = tokio::time::interval(Duration::from_secs(1));
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ended = loop {
            let stopping = noted.is_some();
            tokio::select! {
                ended = watching.ended() => break ended,
                _ = beats.tick() => {
                    // a group that is gone says nothing, so it is asked while it is there
                    note(seen, container, &watching);
                    let taken = *snapshots.borrow_and_update();
                    if !stopping && pace.is_due(taken, Instant::now()) {
                        pace.spoke(taken, Instant::now());
                        if self.tell(&watching, seen, epoch).await == Written::ProbeGone {
                            noted = Some(End::Deleted);
                            watching.stop();
                        }
                    }
                }
                end = self.interrupted(epoch), if !stopping => {
                    if let Some(end) = end {
                        noted = Some(end);
                        watching.stop();
                    }
                }
            }
        };
        note(seen, container, &watching);
        if watching.is_too_dear() && noted != Some(End::Deleted) {
            noted = Some(End::TooDear(profile::too_dear(&self.probe.spec, watching.busiest())));
        }
        let recording = watching.recording();
        if let Some(recording) = recording.filter(|recording| !recording.snapshots.is_empty()) {
            let exited = recording.end.as_ref().is_some_and(|end| end.reason == "targetExited");
            if exited && noted.is_none() {
                let (oom_kills, pod_folder) = (seen.memory.oom_kills(), container.pod_folder.clone());
                noted = Some(End::TargetGone { oom_kills, pod_folder });
            }
            self.judge(recording, seen, epoch).await;
        }
        (noted, ended)
    }

    /// Waits for a reason to end; `None` when the order changed in nothing that matters.
    async fn interrupted(&mut self, epoch: &Epoch) -> Option<End> {
        tokio::select! {
            changed = self.orders.changed() => {
                if changed.is_err() {
                    return Some(End::Deleted);
                }
                self.probe = self.orders.borrow_and_update().clone();
                self.writer.update(&self.probe);
                match decision::wish(&self.probe) {
                    Wish::Stop => Some(End::Stopped),
                    Wish::Watch(id) if id != epoch.container_id => Some(End::NextContainer),
                    Wish::Watch(_) => None,
                }
            }
            () = tokio::time::sleep_until(self.deadline) => Some(End::Deadline),
            () = self.context.drain.cancelled() => Some(End::Drained),
        }
    }

    /// Judges what was recorded so far, keeps it, and says it.
    async fn tell(&mut self, watching: &Watching, seen: &Seen, epoch: &mut Epoch) -> Written {
        let Some(recording) = watching.recording() else { return Written::Failed };
        self.judge(recording, seen, epoch).await;
        self.ticket.note(epoch.clone());
        self.save();
        let message = progress(epoch, &watching.progress());
        self.say(ProbeReason::Running, &message).await
    }

    async fn judge(&mut self, recording: Recording, seen: &Seen, epoch: &mut Epoch) {
        let now = clock::now();
        let last = recording.snapshots.last().map_or(0, |snapshot| snapshot.time_ns);
        let watched = Duration::from_nanos(last);
        epoch.watched_ms = u64::try_from(watched.as_millis()).unwrap_or(u64::MAX);
        self.ticket.start_time.get_or_insert_with(|| Time(now.checked_sub(watched).unwrap_or(now)));
        self.ticket.last_snapshot = Some(Time(now));
        let seen = seen.clone();
        match tokio::task::spawn_blocking(move || digest(&recording, &seen)).await {
            Ok(digest) => epoch.digest = Some(digest),
            Err(error) => {
                tracing::error!(probe = %self.probe.name_any(), %error, "the numbers could not be judged");
            }
        }
    }
}

/// Takes in what the recording does not hold.
fn note(seen: &mut Seen, container: &Container, watching: &Watching) {
    seen.memory.note(container::memory(&container.folder));
    seen.note_tracer(&watching.progress(), watching.left_out());
}

fn progress(epoch: &Epoch, cost: &Progress) -> String {
    let Some(digest) = &epoch.digest else { return "watching".to_owned() };
    let live = amount::bytes(u64::try_from(digest.live_bytes).unwrap_or(0));
    let mut parts =
        vec![format!("{} snapshots, {live} live in {} blocks", digest.snapshot_count, digest.live_count)];
    if epoch.number > 1 {
        parts.push(format!("after {} restarts", epoch.number - 1));
    }
    if let Some(period) = cost.sample_period {
        parts.push(format!("one block followed every {period}"));
    }
    parts.join(", ")
}
