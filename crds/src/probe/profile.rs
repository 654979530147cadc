//! The wishes of an investigation as an agent needs them: every default filled in, every choice made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    duration::{self, DurationError},
    investigation::{
        LeakInvestigationSpec,
        wishes::{Allocator, Budget, OnAgentRestart, OnContainerRestart, Processes, Sampling, Thresholds},
    },
};

/// How to watch one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// Time with probes on, such as 10m.
    #[schemars(length(max = 24))]
    pub duration: String,
    /// Time between two snapshots, such as 30s.
    #[schemars(length(max = 24))]
    pub snapshot_interval: String,
    /// Which allocator the program uses.
    #[serde(default)]
    pub allocator: Allocator,
    /// How many allocations are looked at.
    #[serde(default)]
    pub sampling: Sampling,
    /// What is too small or too young to be reported.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// What watching may cost.
    #[serde(default)]
    pub budget: Budget,
    /// Which processes of the container to watch.
    #[serde(default)]
    pub processes: Processes,
    /// What to do when the container restarts.
    #[serde(default)]
    pub on_container_restart: OnContainerRestart,
    /// What to do when the agent restarts.
    #[serde(default)]
    pub on_agent_restart: OnAgentRestart,
}

impl TryFrom<&LeakInvestigationSpec> for Profile {
    type Error = DurationError;

    /// Copies the wishes and settles the interval. The server has checked both durations, so an error means that the
    /// object was stored before the rule.
    fn try_from(spec: &LeakInvestigationSpec) -> Result<Self, DurationError> {
        Ok(Self {
            duration: duration::format(spec.duration()?),
            snapshot_interval: duration::format(spec.snapshot_interval()?),
            allocator: spec.allocator.clone(),
            sampling: spec.sampling.clone(),
            thresholds: spec.thresholds.clone(),
            budget: spec.budget.clone(),
            processes: spec.target.processes.clone(),
            on_container_restart: spec.on_container_restart,
            on_agent_restart: spec.on_agent_restart,
        })
    }
}
