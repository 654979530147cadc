//! What became of a probe so far, as it is kept on disk.

use leakhound_crds::{Digest, Time};
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// One stretch of watching without a gap: a restart of the container or of the agent begins another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Epoch {
    /// From 1.
    pub(crate) number: u32,
    /// The container that was watched.
    pub(crate) container_id: String,
    /// Time watched.
    pub(crate) watched_ms: u64,
    /// Why its recording is not there; absent when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<String>,
    /// Its numbers, judged by themselves; absent when nothing was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
}

/// What became of a probe so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ticket {
    /// When the probes went on first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) start_time: Option<Time>,
    /// When the last snapshot was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_snapshot: Option<Time>,
    /// Time watched by agents whose spool is gone with their pod.
    #[serde(default)]
    pub(crate) elsewhere_ms: u64,
    /// All stretches of watching, in order.
    pub(crate) epochs: Vec<Epoch>,
    /// How it ended; absent while it may go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<Outcome>,
}

impl Ticket {
    /// The epoch that was watched longest, of equals the later: its recording and its verdict stand for the whole.
    ///
    /// A verdict never reaches over a gap: what was freed meanwhile would still count as live.
    pub(crate) fn longest(&self) -> Option<&Epoch> {
        self.epochs.iter().max_by_key(|epoch| (epoch.digest.is_some(), epoch.watched_ms, epoch.number))
    }

    /// Time watched in all.
    pub(crate) fn watched_ms(&self) -> u64 {
        self.epochs.iter().map(|epoch| epoch.watched_ms).fold(self.elsewhere_ms, u64::saturating_add)
    }

    /// Takes in an epoch, in place of what was known of it before.
    pub(crate) fn note(&mut self, epoch: Epoch) {
        self.epochs.retain(|known| known.number != epoch.number);
        self.epochs.push(epoch);
    }

    /// Number of the next epoch.
    pub(crate) fn next_epoch(&self) -> u32 {
        self.epochs.iter().map(|epoch| epoch.number).max().unwrap_or(0) + 1
    }
}
