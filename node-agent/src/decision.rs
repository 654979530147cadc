//! What to do about a probe: pure, from what the API says, what this node remembers, and the time.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use leakhound_crds::{
    LeakProbe, LeakProbeStatus,
    condition::{self, SUCCEEDED},
    investigation::wishes::{OnAgentRestart, OnContainerRestart},
    probe::{Desired, ProbeReason},
};

use crate::{outcome::Outcome, profile, spool::Ticket};

/// What to do about a probe that nobody works on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Begin {
    /// It is over.
    Nothing,
    /// It came to its end, and the API does not say so yet.
    Finish(Outcome),
    /// Watch for so long.
    Watch {
        /// The part of the duration that was not watched yet.
        left: Duration,
        /// An earlier agent watched it before, and what was allocated then cannot be followed any more.
        again: bool,
    },
}

/// What the API wants of a probe that is being worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Go on with this container.
    Watch(String),
    /// Take the probes off, and finish with what was seen.
    Stop,
}

/// What the API wants of a probe now.
pub(crate) fn wish(probe: &LeakProbe) -> Wish {
    match probe.spec.desired {
        Desired::Run => Wish::Watch(probe.spec.container_id.clone()),
        Desired::Stop => Wish::Stop,
    }
}

/// What to do about a probe that nobody works on. `ticket` is what this node's spool holds of it, `agent` the mark of this
/// run of the agent.
pub(crate) fn begin(probe: &LeakProbe, ticket: Option<&Ticket>, agent: &str, now: Timestamp) -> Begin {
    if let Some(outcome) = ticket.and_then(|ticket| ticket.outcome.clone()) {
        return Begin::Finish(outcome);
    }
    let fresh = LeakProbeStatus::default();
    let status = probe.status.as_ref().unwrap_or(&fresh);
    let reason = reason(status);
    if reason.is_final() {
        return follow_on(probe, status, reason, ticket, now);
    }
    let watched = watched(status, ticket);
    let seen = !watched.is_zero();
    let ended = |reason, message: &str| Begin::Finish(Outcome::now(reason, message));
    if probe.spec.desired == Desired::Stop {
        return ended(
            ProbeReason::StoppedEarly,
            if seen { "stopped" } else { "stopped before the probes went on" },
        );
    }
    if now >= probe.spec.deadline_time.0 {
        let message = if seen {
            "the deadline passed while no agent ran"
        } else {
            "the deadline passed before the probes went on"
        };
        return ended(ProbeReason::DeadlineExceeded, message);
    }
    let left = match profile::duration(&probe.spec) {
        Ok(whole) => whole.saturating_sub(watched),
        Err(refusal) => return ended(ProbeReason::AgentError, &refusal.to_string()),
    };
    let again = reason == ProbeReason::Running && status.agent_boot_id.as_deref() != Some(agent);
    match probe.spec.profile.on_agent_restart {
        OnAgentRestart::Finish if again && seen => {
            ended(ProbeReason::StoppedEarly, "the agent was restarted, and onAgentRestart is Finish")
        }
        OnAgentRestart::Finish | OnAgentRestart::Fail if again => ended(
            ProbeReason::AgentError,
            "the agent was restarted: with onAgentRestart Resume it would go on",
        ),
        _ if left.is_zero() => ended(ProbeReason::Completed, "all of the time was watched"),
        _ => Begin::Watch { left, again },
    }
}

/// A probe whose container ended is taken up again when the operator names the next one.
fn follow_on(
    probe: &LeakProbe,
    status: &LeakProbeStatus,
    reason: ProbeReason,
    ticket: Option<&Ticket>,
    now: Timestamp,
) -> Begin {
    let ordered_anew = status.observed_generation < probe.metadata.generation;
    let follows = probe.spec.profile.on_container_restart == OnContainerRestart::Follow;
    let wanted = probe.spec.desired == Desired::Run && now < probe.spec.deadline_time.0;
    let left = profile::duration(&probe.spec).unwrap_or_default().saturating_sub(watched(status, ticket));
    match reason == ProbeReason::TargetGone && ordered_anew && follows && wanted && !left.is_zero() {
        true => Begin::Watch { left, again: true },
        false => Begin::Nothing,
    }
}

/// Where a probe is in its life; one that no agent has touched is pending.
fn reason(status: &LeakProbeStatus) -> ProbeReason {
    let word =
        condition::find(&status.conditions, SUCCEEDED).and_then(|condition| condition.reason.parse().ok());
    word.unwrap_or(ProbeReason::Pending)
}

/// Time watched before: the spool knows it best, and after a move to another pod only the status does.
fn watched(status: &LeakProbeStatus, ticket: Option<&Ticket>) -> Duration {
    let told = status.coverage_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
    let kept = ticket.map_or(0, Ticket::watched_ms);
    Duration::from_secs(told).max(Duration::from_millis(kept))
}

#[cfg(test)]
mod tests;
