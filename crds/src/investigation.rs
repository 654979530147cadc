//! `LeakInvestigation`: one question about one target, with a duration.

pub mod status;
pub mod target;
pub mod wishes;

use std::time::Duration;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use status::LeakInvestigationStatus;
pub use target::Target;
pub use wishes::{Allocator, Budget, Mode, Processes, Report, Sampling, Thresholds};
use wishes::{OnAgentRestart, OnContainerRestart};

use crate::{duration::DurationError, rules};

/// Shortest time between two snapshots.
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(5);
/// Longest time between two snapshots that is chosen without being asked for.
const LONGEST_CHOSEN_INTERVAL: Duration = Duration::from_secs(60);

/// What to watch and how. Fixed at creation but for suspend, stop and ttlSecondsAfterFinished.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "leakhound.dev",
    version = "v1alpha1",
    kind = "LeakInvestigation",
    namespaced,
    status = "LeakInvestigationStatus",
    derive = "PartialEq",
    shortname = "leak",
    category = "leaks",
    doc = "One question about one target, which call stacks leak memory, with a duration.",
    validation = Rule::new("size(self.metadata.name) <= 63")
        .message("metadata.name must be at most 63 characters, because it is used as a label value"),
    printcolumn(
        name = "Target",
        type_ = "string",
        json_path = ".spec.target['podName','workloadRef.name','selector.matchLabels']"
    ),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(
        name = "State",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Succeeded")].reason"#
    ),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.summary.verdict"),
    printcolumn(name = "Growth", type_ = "string", json_path = ".status.summary.growth"),
    printcolumn(name = "Top", type_ = "string", json_path = ".status.summary.topFrame"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Duration", type_ = "string", json_path = ".spec.duration", priority = 1),
    printcolumn(name = "Report", type_ = "string", json_path = ".status.reports[0].url", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Succeeded")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::three_snapshots(),
    validation = rules::fixed_interval(),
    validation = rules::heap_alone("allocator", "self.allocator.type == 'Auto' && !has(self.allocator.library)"),
    validation = rules::heap_alone("sampling", "self.sampling.policy != 'ByteInterval'")
)]
pub struct LeakInvestigationSpec {
    /// The container to watch, in the namespace of this object. Cannot be changed.
    #[x_kube(validation = rules::fixed("target"))]
    pub target: Target,
    /// Heap watches the allocator, Growth watches page faults, Kernel watches kernel allocations and needs the right to
    /// create leakinvestigations/kernel. Default Heap. Cannot be changed.
    #[serde(default)]
    #[x_kube(validation = rules::fixed("mode"))]
    pub mode: Mode,
    /// Time with probes on, 15s to 24h, such as 10m or 1h30m. Default 10m. Cannot be changed.
    #[serde(default = "ten_minutes")]
    #[schemars(length(max = 24))]
    #[x_kube(
        validation = rules::duration(
            " && duration(self) >= duration('15s') && duration(self) <= duration('24h')",
            "duration must be between 15s and 24h, written like 90s, 10m or 1h30m"
        ),
        validation = Rule::new("self == oldSelf")
            .message("duration cannot be changed: set stop to end early, or create another LeakInvestigation")
    )]
    pub duration: String,
    /// Time between two snapshots, 5s to a third of the duration, such as 5s or 1m. Default: a twentieth of the duration,
    /// at least 5s and at most 1m. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 24))]
    #[x_kube(validation = rules::duration(
        " && duration(self) >= duration('5s')",
        "snapshotInterval must be at least 5s, written like 5s or 1m"
    ))]
    pub snapshot_interval: Option<String>,
    /// Seconds that may pass between creation and the first probe, in the queue or waiting for the target; 0 to 86400.
    /// Default 300. Cannot be changed.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 0, max = 86_400))]
    #[x_kube(validation = rules::fixed("startingDeadlineSeconds"))]
    pub starting_deadline_seconds: i64,
    /// Which allocator of the program is watched, with mode Heap. Default: every one that is found. Cannot be changed.
    #[serde(default)]
    #[x_kube(validation = rules::fixed("allocator"))]
    pub allocator: Allocator,
    /// How many allocations are looked at. Cannot be changed.
    #[serde(default)]
    #[x_kube(validation = rules::fixed("sampling"))]
    pub sampling: Sampling,
    /// What is too small or too young to be reported. Cannot be changed.
    #[serde(default)]
    #[x_kube(validation = rules::fixed("thresholds"))]
    pub thresholds: Thresholds,
    /// What watching may cost. Cannot be changed.
    #[serde(default)]
    #[x_kube(validation = rules::fixed("budget"))]
    pub budget: Budget,
    /// When the container restarts: Follow the new one, Finish with what was seen, or Fail. Default Follow.
    /// Cannot be changed.
    #[serde(default)]
    #[x_kube(validation = rules::fixed("onContainerRestart"))]
    pub on_container_restart: OnContainerRestart,
    /// When the agent on the node restarts: Resume for the time that is left, Finish with what was seen, or Fail.
    /// Default Resume. Cannot be changed.
    #[serde(default)]
    #[x_kube(validation = rules::fixed("onAgentRestart"))]
    pub on_agent_restart: OnAgentRestart,
    /// Which reports to make. Cannot be changed.
    #[serde(default)]
    #[x_kube(validation = rules::fixed("report"))]
    pub report: Report,
    /// Hold before the start, or pause while running. Default false. May change.
    #[serde(default)]
    pub suspend: bool,
    /// End now and keep the report. Default false. May be set, never taken back.
    #[serde(default)]
    #[x_kube(validation = Rule::new("!oldSelf || self")
        .message("stop cannot be taken back: create another LeakInvestigation"))]
    pub stop: bool,
    /// Seconds after its end when this object and its reports are deleted, at most 2147483647; unset keeps them. May change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // a wider type than the field's own, because the server's message for the narrow one says nothing of bounds
    #[schemars(with = "Option<i64>", range(min = 0, max = 2_147_483_647))]
    pub ttl_seconds_after_finished: Option<i32>,
}

impl LeakInvestigationSpec {
    /// A wish about one target, all else as by default.
    pub fn of(target: Target) -> Self {
        Self {
            target,
            mode: Mode::default(),
            duration: ten_minutes(),
            snapshot_interval: None,
            starting_deadline_seconds: five_minutes(),
            allocator: Allocator::default(),
            sampling: Sampling::default(),
            thresholds: Thresholds::default(),
            budget: Budget::default(),
            on_container_restart: OnContainerRestart::default(),
            on_agent_restart: OnAgentRestart::default(),
            report: Report::default(),
            suspend: false,
            stop: false,
            ttl_seconds_after_finished: None,
        }
    }

    /// Time with probes on.
    pub fn duration(&self) -> Result<Duration, DurationError> {
        crate::duration::parse(&self.duration)
    }

    /// Age that a leak's oldest block must have: what was asked for, and at most half of the duration.
    pub fn min_age(&self) -> Result<Duration, DurationError> {
        Ok(crate::duration::parse(&self.thresholds.min_age)?.min(self.duration()? / 2))
    }

    /// Time between two snapshots: what was asked for, else a twentieth of the duration within 5 s and 1 min.
    pub fn snapshot_interval(&self) -> Result<Duration, DurationError> {
        match &self.snapshot_interval {
            Some(text) => crate::duration::parse(text),
            None => Ok((self.duration()? / 20).clamp(SHORTEST_INTERVAL, LONGEST_CHOSEN_INTERVAL)),
        }
    }
}

fn ten_minutes() -> String {
    "10m".to_owned()
}

fn five_minutes() -> i64 {
    300
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_follows_the_duration_within_bounds() {
        for (duration, interval, seconds) in [
            ("15s", None, 5.0),
            ("10m", None, 30.0),
            ("2m3s", None, 6.15),
            ("24h", None, 60.0),
            ("24h", Some("2h"), 7200.0),
        ] {
            let mut spec = LeakInvestigationSpec::of(Target::pod("cart"));
            spec.duration = duration.to_owned();
            spec.snapshot_interval = interval.map(str::to_owned);
            assert_eq!(spec.snapshot_interval(), Ok(Duration::from_secs_f64(seconds)), "{duration}");
        }
    }

    #[test]
    fn half_of_the_duration_is_old_enough() {
        let mut spec = LeakInvestigationSpec::of(Target::pod("cart"));
        assert_eq!(spec.min_age(), Ok(Duration::from_secs(60)));
        spec.duration = "30s".to_owned();
        assert_eq!(spec.min_age(), Ok(Duration::from_secs(15)));
    }
}
