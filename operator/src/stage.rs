//! Where one target stands: a pure function of its probes, its pod, its node and the clock.

use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};
use leakhound_crds::{
    Condition, LeakInvestigationSpec, LeakProbe,
    condition::{self, SUCCEEDED},
    investigation::wishes::OnContainerRestart,
    probe::{Desired, ProbeReason},
};
use leakhound_report::amount;

use crate::{
    node::{AgentView, NodeView},
    oom,
    pod::PodView,
};

/// An agent ends a probe at its deadline by itself; so long after it, it is taken for gone.
const DEADLINE_GRACE: SignedDuration = SignedDuration::from_secs(30);
/// The kubelet says within seconds how a container ended; so long it is waited for.
const KUBELET_GRACE: SignedDuration = SignedDuration::from_secs(30);
/// Too little time is left for three snapshots: not worth attaching again.
pub(crate) const SHORTEST_EPOCH: Duration = Duration::from_secs(15);

/// Where a target stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It waits for a probe: its first, or the next one after a pause or a restart.
    Waiting,
    /// Held by `spec.suspend`.
    Suspended,
    /// Its probe was ordered, and the agent has not begun.
    Starting,
    /// Probes are on.
    Probing,
    /// The agent was told to stop and has not answered yet.
    Stopping,
    /// The container ended, and the kubelet has not said yet of what.
    Ending,
    /// Nothing more will come.
    Ended(End),
}

/// How a target ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) reason: EndReason,
    pub(crate) message: String,
}

/// How a target ended, as one word. In the order in which they matter when several targets failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EndReason {
    Completed,
    StoppedEarly,
    TargetGone,
    ContainerRestarted,
    AllocatorNotFound,
    UnsupportedRuntime,
    UnsupportedKernel,
    ContainerMismatch,
    AgentError,
    NoAgentOnNode,
    NodeLost,
    DeadlineExceeded,
}

impl EndReason {
    /// Whether such an end counts as a result.
    pub(crate) fn is_success(self) -> bool {
        matches!(self, Self::Completed | Self::StoppedEarly | Self::TargetGone)
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Waiting => "Queued",
            Self::Suspended => "Suspended",
            Self::Starting => "Starting",
            Self::Probing => "Running",
            Self::Stopping => "Stopping",
            Self::Ending => "Ending",
            Self::Ended(end) => return end.reason.fmt(formatter),
        })
    }
}

/// What was seen of a target's pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum PodNow {
    /// Nobody looked.
    #[default]
    Unknown,
    /// It is not there any more, or another one has its name.
    Gone,
    /// It is there.
    There(Box<PodView>),
}

/// Everything that decides where a target stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) spec: &'a LeakInvestigationSpec,
    /// Name of the container.
    pub(crate) container: &'a str,
    /// Its probes, oldest first.
    pub(crate) probes: &'a [&'a LeakProbe],
    pub(crate) pod: &'a PodNow,
    /// Its node, when somebody looked.
    pub(crate) node: Option<&'a NodeView>,
    pub(crate) now: Timestamp,
}

impl Sight<'_> {
    /// Where the target stands.
    pub(crate) fn stage(&self) -> Stage {
        let Some(last) = self.probes.last() else { return self.without_probe() };
        match end_of(last) {
            Some((reason, condition)) => self.after(last, reason, condition),
            None => self.during(last),
        }
    }

    fn without_probe(&self) -> Stage {
        if self.spec.stop {
            return ended(EndReason::StoppedEarly, "stopped before any probe was on: there is no result");
        }
        if self.spec.suspend { Stage::Suspended } else { Stage::Waiting }
    }

    /// While the agent has not said that it has finished.
    fn during(&self, probe: &LeakProbe) -> Stage {
        let node = &probe.spec.node_name;
        if let Some(lost) = self.node.filter(|lost| lost.agent != AgentView::Alive) {
            if !lost.exists || !lost.is_ready {
                return ended(
                    EndReason::NodeLost,
                    format!(
                        "{}; probes ended with it, and what was seen until then is all there is",
                        lost.explain_missing_agent()
                    ),
                );
            }
            let given = SignedDuration::from_secs(self.spec.starting_deadline_seconds).max(DEADLINE_GRACE);
            if !has_begun(probe) && self.now.duration_since(created(probe)) > given {
                return ended(EndReason::NoAgentOnNode, lost.explain_missing_agent());
            }
        }
        if self.now.duration_since(probe.spec.deadline_time.0) > DEADLINE_GRACE {
            return ended(
                EndReason::NodeLost,
                format!(
                    "the agent on node {node} did not report the end of its probe by the deadline: see the logs of its pod"
                ),
            );
        }
        if self.spec.on_container_restart == OnContainerRestart::Fail && self.successor(probe).is_some() {
            return ended(EndReason::ContainerRestarted, self.explain_restart(probe));
        }
        match probe.spec.desired {
            Desired::Stop => Stage::Stopping,
            Desired::Run if has_begun(probe) => Stage::Probing,
            Desired::Run => Stage::Starting,
        }
    }

    /// After the agent has said that it has finished.
    fn after(&self, probe: &LeakProbe, reason: ProbeReason, condition: &Condition) -> Stage {
        if reason == ProbeReason::TargetGone && !self.spec.stop && self.is_unexplained(probe, condition) {
            return Stage::Ending;
        }
        let restarted = self.successor(probe).is_some();
        // Targets that have ended are told to stop, too, and with a successor there is nothing to go on with after a pause.
        let was_paused = reason == ProbeReason::StoppedEarly && probe.spec.desired == Desired::Stop;
        let was_interrupted =
            was_paused || matches!(reason, ProbeReason::TargetGone | ProbeReason::ContainerMismatch);
        match self.spec.on_container_restart {
            _ if self.spec.stop => {}
            // A container that ended while its pod lives on restarts, now or after the kubelet's back-off.
            OnContainerRestart::Fail
                if was_interrupted && restarted || reason == ProbeReason::TargetGone && self.pod_lives() =>
            {
                return ended(EndReason::ContainerRestarted, self.explain_restart(probe));
            }
            _ if was_paused && self.time_left() < SHORTEST_EPOCH => {
                return ended(EndReason::Completed, condition.message.clone());
            }
            _ if was_paused && *self.pod == PodNow::Gone => {
                return ended(
                    EndReason::TargetGone,
                    "the pod was deleted while the investigation was suspended",
                );
            }
            OnContainerRestart::Finish if was_paused && restarted => {
                return ended(
                    EndReason::TargetGone,
                    format!(
                        "container {} restarted while no probe was on, and spec.onContainerRestart is Finish; what was \
                         seen until then is the result",
                        self.container
                    ),
                );
            }
            _ if was_paused => return self.without_probe(),
            OnContainerRestart::Follow
                if was_interrupted && restarted && self.time_left() >= SHORTEST_EPOCH =>
            {
                return self.without_probe();
            }
            _ => {}
        }
        let end = match reason {
            ProbeReason::Completed => EndReason::Completed,
            ProbeReason::StoppedEarly | ProbeReason::Pending | ProbeReason::Running => {
                EndReason::StoppedEarly
            }
            ProbeReason::TargetGone => EndReason::TargetGone,
            ProbeReason::DeadlineExceeded => EndReason::DeadlineExceeded,
            ProbeReason::AgentError => EndReason::AgentError,
            ProbeReason::AllocatorNotFound => EndReason::AllocatorNotFound,
            ProbeReason::UnsupportedRuntime => EndReason::UnsupportedRuntime,
            ProbeReason::UnsupportedKernel => EndReason::UnsupportedKernel,
            ProbeReason::ContainerMismatch => EndReason::ContainerMismatch,
        };
        match end {
            EndReason::TargetGone if self.was_oom_killed(probe) => {
                ended(end, format!("{}; what was seen until then is the result", self.explain_oom_kill()))
            }
            _ => ended(end, condition.message.clone()),
        }
    }

    /// The id of the container that runs now, when it is another one than the probe's.
    pub(crate) fn successor(&self, probe: &LeakProbe) -> Option<&str> {
        let PodNow::There(pod) = self.pod else { return None };
        let running = pod.container(self.container)?.running.as_deref()?;
        (running != probe.spec.container_id).then_some(running)
    }

    /// Whether the pod still says that a container runs of which the agent has seen the end.
    fn is_unexplained(&self, probe: &LeakProbe, end: &Condition) -> bool {
        let PodNow::There(pod) = self.pod else { return false };
        let runs = pod.container(self.container).and_then(|container| container.running.as_deref());
        let waited = self.now.duration_since(end.last_transition_time.0);
        pod.is_alive() && runs == Some(&probe.spec.container_id) && waited < KUBELET_GRACE
    }

    /// Whether the container that a probe watched last was killed for want of memory: the kubelet says so as long as its pod
    /// is there, and the probe remembers.
    fn was_oom_killed(&self, probe: &LeakProbe) -> bool {
        oom::kills(self.container, probe, self.pod).contains(probe.spec.container_id.as_str())
    }

    fn explain_oom_kill(&self) -> String {
        let limit = match self.pod {
            PodNow::There(pod) => pod.container(self.container).and_then(|container| container.memory_limit),
            PodNow::Gone | PodNow::Unknown => None,
        };
        let at = limit.map(|limit| format!(" at its limit of {}", amount::bytes(limit))).unwrap_or_default();
        format!("the kernel killed container {} for want of memory (OOMKilled){at}", self.container)
    }

    fn pod_lives(&self) -> bool {
        matches!(self.pod, PodNow::There(pod) if pod.is_alive())
    }

    /// Time with probes on that is still wished for.
    pub(crate) fn time_left(&self) -> Duration {
        self.spec.duration().unwrap_or_default().saturating_sub(watched(self.probes))
    }

    fn explain_restart(&self, probe: &LeakProbe) -> String {
        let what = match self.was_oom_killed(probe) {
            true => format!("{} and it restarted", self.explain_oom_kill()),
            false => format!("container {} restarted", self.container),
        };
        format!("{what}, and spec.onContainerRestart is Fail: with Follow its successor is watched")
    }
}

/// Time with probes on so far.
pub(crate) fn watched(probes: &[&LeakProbe]) -> Duration {
    let seconds = probes.iter().filter_map(|probe| probe.status.as_ref()?.coverage_seconds);
    Duration::from_secs(seconds.map(|seconds| u64::try_from(seconds).unwrap_or_default()).sum())
}

/// The agent's last word on a probe; `None` while it has not spoken it. A reason that we do not know is an agent's error.
pub(crate) fn end_of(probe: &LeakProbe) -> Option<(ProbeReason, &Condition)> {
    let condition = condition::find(&probe.status.as_ref()?.conditions, SUCCEEDED)?;
    let reason = condition.reason.parse().unwrap_or(match condition.status {
        condition::ConditionStatus::Unknown => ProbeReason::Running,
        condition::ConditionStatus::True => ProbeReason::Completed,
        condition::ConditionStatus::False => ProbeReason::AgentError,
    });
    reason.is_final().then_some((reason, condition))
}

/// When a probe was ordered.
pub(crate) fn created(probe: &LeakProbe) -> Timestamp {
    probe.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0)
}

fn has_begun(probe: &LeakProbe) -> bool {
    probe.status.as_ref().is_some_and(|status| status.start_time.is_some())
}

fn ended(reason: EndReason, message: impl Into<String>) -> Stage {
    Stage::Ended(End { reason, message: message.into() })
}

#[cfg(test)]
mod tests;
