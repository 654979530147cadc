//! What became of a probe so far, as it is kept on disk.

use leakhound_crds::{Digest, LeakProbe, Time};
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
    /// The hash of its recording, which the operator has already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stored: Option<String>,
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
    /// All stretches of watching, in order.
    pub(crate) epochs: Vec<Epoch>,
    /// How it ended; absent while it may go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<Outcome>,
}

/// Why an earlier agent's recording is not there, and what to do about it.
const WENT_WITH_THE_POD: &str = "the recording went with the earlier agent's pod: with the chart's agent.spoolHostPath it \
                                 would have stayed on the node";

impl Ticket {
    /// What the API says of a probe of which this spool knows nothing: an earlier agent watched it, and its spool went with
    /// its pod. So a gap in what was watched is told whatever became of the recording.
    pub(crate) fn told(probe: &LeakProbe) -> Self {
        let Some(status) = &probe.status else { return Self::default() };
        let seconds = status.coverage_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
        let digest = status.digest.as_deref().and_then(|text| Digest::parse(text).ok());
        let number = digest.as_ref().and_then(|digest| u32::try_from(digest.epochs).ok()).unwrap_or(1).max(1);
        let stored = status.result_digest.clone();
        let earlier = Epoch {
            number,
            container_id: probe.spec.container_id.clone(),
            watched_ms: seconds.saturating_mul(1000),
            lost: stored.is_none().then(|| WENT_WITH_THE_POD.to_owned()),
            stored,
            digest,
        };
        let seen = seconds > 0 || earlier.digest.is_some();
        Self {
            start_time: status.start_time.clone(),
            last_snapshot: status.last_snapshot_time.clone(),
            epochs: if seen { vec![earlier] } else { Vec::new() },
            outcome: None,
        }
    }

    /// The numbers that stand for the whole: those of the longest epoch, with what happened in all of them.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let digest = self.longest()?.digest.clone()?;
        let kills = |epoch: &Epoch| epoch.digest.as_ref()?.memory.oom_kills;
        let mut memory = digest.memory.clone();
        memory.oom_kills = self.epochs.iter().filter_map(kills).reduce(i32::saturating_add);
        Some(Digest { epochs: i32::try_from(self.stretches()).unwrap_or(i32::MAX), memory, ..digest })
    }

    /// How many stretches were watched, those of earlier agents included.
    pub(crate) fn stretches(&self) -> u32 {
        self.epochs.iter().map(|epoch| epoch.number).max().unwrap_or(0)
    }

    /// The epoch that was watched longest, of equals the later: its recording and its verdict stand for the whole.
    ///
    /// A verdict never reaches over a gap: what was freed meanwhile would still count as live.
    pub(crate) fn longest(&self) -> Option<&Epoch> {
        self.epochs.iter().max_by_key(|epoch| (epoch.digest.is_some(), epoch.watched_ms, epoch.number))
    }

    /// Time watched in all.
    pub(crate) fn watched_ms(&self) -> u64 {
        self.epochs.iter().map(|epoch| epoch.watched_ms).fold(0, u64::saturating_add)
    }

    /// Takes in an epoch, in place of what was known of it before.
    pub(crate) fn note(&mut self, epoch: Epoch) {
        self.epochs.retain(|known| known.number != epoch.number);
        self.epochs.push(epoch);
    }

    /// Number of the next epoch.
    pub(crate) fn next_epoch(&self) -> u32 {
        self.stretches() + 1
    }
}
