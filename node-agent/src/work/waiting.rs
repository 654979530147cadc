//! Waiting while nothing is watched: for a place on the node, and for the next container.

use std::{path::Path, sync::Arc, time::Duration};

use leakhound_crds::probe::ProbeReason;
use tokio::{
    sync::{OwnedSemaphorePermit, TryAcquireError},
    time::Instant,
};

use super::{Left, Work};
use crate::{
    decision::{self, Wish},
    outcome::Outcome,
};

/// Longest wait for a container to be started again: the kubelet's own back-off is five minutes.
const RESTART: Duration = Duration::from_mins(6);

impl Work {
    /// Waits for a place among the containers that may be watched at a time.
    pub(super) async fn place(&mut self) -> Result<OwnedSemaphorePermit, Left> {
        match Arc::clone(&self.context.places).try_acquire_owned() {
            Ok(place) => return Ok(place),
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {}
        }
        let most = self.context.most;
        let message =
            format!("waiting: this node watches {most} containers at a time, and all places are taken");
        let fresh = self.ticket.watched_ms() == 0;
        self.say(if fresh { ProbeReason::Pending } else { ProbeReason::Running }, &message).await;
        let place = Arc::clone(&self.context.places).acquire_owned();
        tokio::pin!(place);
        let waiting = self.context.metrics.waiting.clone();
        waiting.inc();
        let result = loop {
            tokio::select! {
                place = &mut place => match place {
                    Ok(place) => break Ok(place),
                    Err(_closed) => break Err(Left::Drained),
                },
                left = self.interruption() => {
                    if let Some(left) = left {
                        break Err(left);
                    }
                }
            }
        };
        waiting.dec();
        result
    }

    /// Waits a second before another try; gives the reason to end, should one come up meanwhile.
    pub(super) async fn pause(&mut self) -> Option<Left> {
        let second = tokio::time::sleep(Duration::from_secs(1));
        tokio::pin!(second);
        loop {
            tokio::select! {
                left = self.interruption() => {
                    if left.is_some() {
                        return left;
                    }
                }
                () = &mut second => return None,
            }
        }
    }

    /// Waits for the operator to name the container that comes after one that ended.
    pub(super) async fn next_container(&mut self, gone: &str, pod_folder: Option<&Path>) -> Result<(), Left> {
        let old = self.probe.spec.container_id.clone();
        self.say(ProbeReason::Running, &format!("{gone}; waiting for the container to be started again"))
            .await;
        let patience = Instant::now() + RESTART;
        let ended = || Left::Ended(Outcome::now(ProbeReason::TargetGone, gone));
        loop {
            tokio::select! {
                left = self.interruption() => {
                    match left {
                        Some(left) => return Err(left),
                        None if self.probe.spec.container_id != old => return Ok(()),
                        None => {}
                    }
                }
                () = tokio::time::sleep(Duration::from_secs(1)) => {
                    if pod_folder.is_some_and(|folder| !folder.exists()) || Instant::now() >= patience {
                        return Err(ended());
                    }
                }
            }
        }
    }

    /// Waits for a new order, the deadline, or the agent's end; `None` when it is still to be watched.
    async fn interruption(&mut self) -> Option<Left> {
        let ended = |reason, message: &str| Some(Left::Ended(Outcome::now(reason, message)));
        tokio::select! {
            changed = self.orders.changed() => {
                if changed.is_err() {
                    return Some(Left::Deleted);
                }
                self.probe = self.orders.borrow_and_update().clone();
                self.writer.update(&self.probe);
                match decision::wish(&self.probe) {
                    Wish::Stop => ended(ProbeReason::StoppedEarly, "stopped while nothing was watched"),
                    Wish::Watch(_) => None,
                }
            }
            () = tokio::time::sleep_until(self.deadline) => {
                ended(ProbeReason::DeadlineExceeded, "the deadline passed while nothing could be watched")
            }
            () = self.context.drain.cancelled() => Some(Left::Drained),
        }
    }
}
