//! The whole status of a probe, composed and written in one place: an apply withdraws what it leaves out.

mod writer;

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use leakhound_crds::{
    Condition, ConditionStatus, LeakProbeStatus, Time,
    condition::{self, RECORDING_UPLOADED, SUCCEEDED},
    probe::ProbeReason,
};

pub(crate) use writer::{Writer, Written, is_older};

/// Everything that an agent has to say about a probe.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word {
    /// The generation of the probe that was acted upon.
    pub(crate) generation: Option<i64>,
    /// Where the probe is in its life.
    pub(crate) reason: ProbeReason,
    /// For people.
    pub(crate) message: String,
    /// When the probes went on first.
    pub(crate) start_time: Option<Time>,
    /// When the last snapshot was taken.
    pub(crate) last_snapshot: Option<Time>,
    /// Time watched.
    pub(crate) watched: Duration,
    /// The digest as text.
    pub(crate) digest: Option<String>,
    /// What became of the recording.
    pub(crate) upload: Option<Upload>,
}

/// What became of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Upload {
    /// The operator has it; its hash.
    Stored(String),
    /// Not yet, or never.
    Missing {
        /// For the condition.
        reason: &'static str,
        /// For people.
        message: String,
    },
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Speaker {
    /// Name of the agent's pod.
    pub(crate) pod: String,
    /// Mark of this run of the agent.
    pub(crate) run: String,
}

/// The status that says this; `before` is what stood there, for the times at which conditions changed.
pub(crate) fn compose(
    word: &Word,
    speaker: &Speaker,
    before: &[Condition],
    now: Timestamp,
) -> LeakProbeStatus {
    let mut conditions: Vec<Condition> = before
        .iter()
        .filter(|old| [SUCCEEDED, RECORDING_UPLOADED].contains(&old.type_.as_str()))
        .cloned()
        .collect();
    let succeeded = (word.reason.succeeded(), word.reason.to_string(), word.message.clone());
    let uploaded = word.upload.as_ref().map(|upload| match upload {
        Upload::Stored(_) => {
            (ConditionStatus::True, "Stored".to_owned(), "the operator has the recording".to_owned())
        }
        Upload::Missing { reason, message } => {
            (ConditionStatus::False, (*reason).to_owned(), message.clone())
        }
    });
    let said = [(SUCCEEDED, Some(succeeded)), (RECORDING_UPLOADED, uploaded)];
    for (type_, said) in said {
        match said {
            Some((status, reason, message)) => {
                let new =
                    Condition::new(type_, status, &reason, &message, now).of_generation(word.generation);
                condition::set(&mut conditions, new);
            }
            None => conditions.retain(|old| old.type_ != type_),
        }
    }
    LeakProbeStatus {
        observed_generation: word.generation,
        agent_pod: Some(speaker.pod.clone()),
        agent_boot_id: Some(speaker.run.clone()),
        start_time: word.start_time.clone(),
        last_snapshot_time: word.last_snapshot.clone(),
        coverage_seconds: Some(i64::try_from(word.watched.as_secs()).unwrap_or(i64::MAX)),
        result_digest: match &word.upload {
            Some(Upload::Stored(hash)) => Some(hash.clone()),
            _ => None,
        },
        digest: word.digest.clone(),
        conditions,
    }
}

#[cfg(test)]
mod tests;
