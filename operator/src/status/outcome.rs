//! Where an investigation stands as a whole: the `Succeeded` condition before it is written down.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use leakhound_crds::{
    LeakInvestigation,
    condition::{self, ConditionStatus, SUSPENDED},
};

use super::Facts;
use crate::{
    queue::{Full, Turn, position},
    refusal::Refusal,
    stage::{End, EndReason, Stage},
};

/// Where an investigation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It goes on.
    Open { reason: &'static str, message: String },
    /// It is over, with a result or without one.
    Over { has_result: bool, reason: String, message: String },
}

/// Where an investigation stands.
pub(crate) fn outcome(facts: &Facts<'_>) -> Outcome {
    let spec = &facts.investigation.spec;
    if facts.targets.is_empty() {
        return match facts.obstacle {
            _ if spec.stop => {
                over(true, EndReason::StoppedEarly, "stopped before any probe was on: there is no result")
            }
            _ if spec.suspend => open("Suspended", "spec.suspend is true: set it to false to begin"),
            Some(refusal) => refused(facts, refusal),
            None => open("Pending", "looking for the target"),
        };
    }
    let ends: Option<Vec<&End>> = facts
        .targets
        .iter()
        .map(|target| match &target.stage {
            Stage::Ended(end) => Some(end),
            _ => None,
        })
        .collect();
    match ends {
        Some(_) if facts.conclusion.is_none() && has_probes(facts) => {
            open("Running", "probes are off; the recordings are being collected and analyzed")
        }
        Some(ends) => all_ended(facts, &ends),
        None => going_on(facts),
    }
}

fn has_probes(facts: &Facts<'_>) -> bool {
    facts.targets.iter().any(|target| !target.probes.is_empty())
}

fn refused(facts: &Facts<'_>, refusal: &Refusal) -> Outcome {
    if !refusal.may_pass() {
        return over(false, refusal.reason, &refusal.message);
    }
    let seconds = facts.investigation.spec.starting_deadline_seconds;
    if facts.now < starting_deadline(facts.investigation, facts.now) {
        return open("Pending", &format!("{}; waiting for up to {seconds} s", refusal.message));
    }
    let message = format!(
        "not started within {seconds} s: {}; then create another LeakInvestigation, perhaps with a longer \
         spec.startingDeadlineSeconds",
        refusal.message
    );
    over(false, refusal.reason, &message)
}

/// Until when the first probe must be on. Time under `spec.suspend` does not count.
pub(crate) fn starting_deadline(investigation: &LeakInvestigation, now: Timestamp) -> Timestamp {
    let created = investigation.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    let resumed =
        investigation.status.as_ref().and_then(|status| condition::find(&status.conditions, SUSPENDED)).map(
            |suspended| match suspended.status {
                ConditionStatus::False => suspended.last_transition_time.0,
                ConditionStatus::True | ConditionStatus::Unknown => now,
            },
        );
    let since = resumed.map_or(created, |resumed| resumed.max(created));
    let limit = SignedDuration::from_secs(investigation.spec.starting_deadline_seconds);
    since.saturating_add(limit).unwrap_or(Timestamp::MAX)
}

/// A result in one container is a result; without any the first failure in the order of [`EndReason`] names the whole.
fn all_ended(facts: &Facts<'_>, ends: &[&End]) -> Outcome {
    let succeeded = ends.iter().filter(|end| end.reason.is_success()).count();
    let Some(first) = ends.iter().min_by_key(|end| end.reason) else {
        return open("Pending", "looking for the target");
    };
    let failures: Vec<String> = facts
        .targets
        .iter()
        .zip(ends)
        .filter(|(_, end)| !end.reason.is_success())
        .map(|(target, end)| format!("pod {}: {}", target.watched.pod_name, end.message))
        .collect();
    let mut message = match (succeeded, failures.as_slice()) {
        (0, [only]) => only.clone(),
        (0, failures) => format!("no container could be watched: {}", failures.join("; ")),
        (_, []) if ends.len() == 1 => first.message.clone(),
        (_, []) => format!("{} containers were watched", ends.len()),
        (_, failures) => {
            format!("{succeeded} of {} containers were watched; {}", ends.len(), failures.join("; "))
        }
    };
    if message.is_empty() {
        "all of the time was watched".clone_into(&mut message);
    }
    over(succeeded > 0, first.reason, &message)
}

fn going_on(facts: &Facts<'_>) -> Outcome {
    let count = |test: fn(&Stage) -> bool| facts.targets.iter().filter(|target| test(&target.stage)).count();
    let probing = count(|stage| matches!(stage, Stage::Probing));
    let stopping = count(|stage| matches!(stage, Stage::Stopping));
    let ending = count(|stage| matches!(stage, Stage::Ending));
    let starting = count(|stage| matches!(stage, Stage::Starting));
    let waiting = facts.targets.iter().filter(|target| target.stage == Stage::Waiting);
    if probing > 0 {
        return open("Running", &format!("probes are on in {probing} of {} containers", facts.targets.len()));
    }
    if stopping > 0 {
        return open("Running", "waiting for the agent to take the probes off and upload what it saw");
    }
    if ending > 0 {
        return open("Running", "the container ended; waiting for the kubelet to say of what");
    }
    if starting > 0 {
        return open("Pending", "waiting for the agent on the node to attach its probes");
    }
    let later = waiting.filter_map(|target| match target.turn {
        Some(Turn::Later { ahead, full }) => Some((ahead, full, target)),
        Some(Turn::Now) | None => None,
    });
    if let Some((ahead, full, target)) = later.min_by_key(|(ahead, ..)| *ahead) {
        let node = target.watched.node_name.as_deref().unwrap_or("?");
        let full = match full {
            Full::Container => "this container is being watched by another investigation".to_owned(),
            Full::Node => format!("node {node} has as many probes as it may"),
            Full::Cluster => "the cluster has as many probes as it may".to_owned(),
        };
        let position = position(ahead);
        return open("Queued", &format!("position {position} in the queue: {full}"));
    }
    if facts.investigation.spec.suspend {
        return open("Suspended", "spec.suspend is true: set it to false to go on");
    }
    match facts.obstacle {
        Some(refusal) => open("Pending", &refusal.message),
        None => open("Pending", "about to start"),
    }
}

fn open(reason: &'static str, message: &str) -> Outcome {
    Outcome::Open { reason, message: message.to_owned() }
}

fn over(has_result: bool, reason: impl fmt::Display, message: &str) -> Outcome {
    Outcome::Over { has_result, reason: format!("{reason}"), message: message.to_owned() }
}
