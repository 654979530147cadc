//! What became of an investigation. Only the operator writes it, and it stays below 64 KiB: the report has the rest.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    condition::Condition,
    finding::{Finding, Verdict},
};

/// Observations about an investigation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
// until the operator has seen the object, `get` and `wait` have something to show
#[schemars(extend("default" = json!({ "conditions": [{
    "type": "Succeeded",
    "status": "Unknown",
    "reason": "Pending",
    "message": "the Leakhound operator has not seen this yet",
    "lastTransitionTime": "1970-01-01T00:00:00Z",
}] })))]
pub struct LeakInvestigationStatus {
    /// The metadata.generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the first probe went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Seconds with probes on so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub probed_seconds: Option<i64>,
    /// The answer in short, for the columns of `kubectl get`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// What is true of it: Succeeded sums up, and is Unknown while it runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// The containers that were watched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 10),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["podUID", "container"])
    )]
    pub targets: Vec<WatchedTarget>,
    /// The most important stacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub findings: Vec<Finding>,
    /// Findings that are left out here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub findings_omitted: Option<i32>,
    /// Where the reports are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["format"])
    )]
    pub reports: Vec<StoredReport>,
}

/// The answer in short.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Summary {
    /// Containers watched of containers wanted, such as 1/1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub targets: Option<String>,
    /// The verdict so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 64))]
    pub verdict: Option<Verdict>,
    /// How sure that is, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub confidence_percent: Option<i32>,
    /// Bytes allocated and not freed since the probes went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outstanding_bytes: Option<i64>,
    /// How fast that grows, in bytes an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth_bytes_per_hour: Option<i64>,
    /// The same for people, such as +420Mi/h.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 24))]
    pub growth: Option<String>,
    /// The program's own innermost function of the first finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub top_frame: Option<String>,
}

/// One container and how watching it went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WatchedTarget {
    /// Name of the pod.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub pod_name: String,
    /// Uid of the pod.
    #[serde(rename = "podUID")]
    #[schemars(length(max = 36))]
    pub pod_uid: String,
    /// Name of the container.
    #[schemars(length(max = 63))]
    pub container: String,
    /// Id of the container, such as containerd://..., which changes when it restarts.
    #[serde(default, rename = "containerID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub container_id: Option<String>,
    /// Node on which it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node_name: Option<String>,
    /// Name of the LeakProbe in Leakhound's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub probe_name: Option<String>,
    /// State of the probe as one word, such as Running or Completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// Restarts of the container while it was watched.
    #[serde(default)]
    pub restarts: i32,
    /// Stretches of time with probes on; more than one when the container or the agent restarted.
    #[serde(default)]
    pub epochs: i32,
    /// Share of the wanted time with probes on, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub coverage_percent: Option<i32>,
    /// How the probes were attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub attach_method: Option<String>,
    /// The processes that were watched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub processes: Vec<WatchedProcess>,
    /// What the kernel accounts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// What watching cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overhead: Option<Overhead>,
}

/// One process that is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct WatchedProcess {
    /// Process id as the node sees it.
    pub pid: i32,
    /// Path of the program within the container.
    #[schemars(length(max = 200))]
    pub exe: String,
    /// Build id of the program in hex; absent where it has none.
    #[serde(rename = "buildID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub build_id: Option<String>,
    /// The allocator that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub allocator: Option<String>,
}

/// Memory of the container as the kernel accounts for it, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Used when watching began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_bytes: Option<i64>,
    /// Used at the last snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_bytes: Option<i64>,
    /// The container's limit; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<i64>,
    /// Processes killed for want of memory while watching.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<i32>,
}

/// What watching costs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Overhead {
    /// Share of one core, in thousandths: of the last second while probes are on, and on average once they are off.
    pub cpu_permille: i32,
    /// Events seen.
    pub events: i64,
    /// Events lost.
    pub dropped: i64,
    /// Bytes allocated between two samples; absent when every allocation was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_sample: Option<i64>,
}

/// One report that was stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredReport {
    /// Its format, such as HTML.
    #[schemars(length(max = 16))]
    pub format: String,
    /// Where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub url: Option<String>,
    /// Its size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
    /// SHA-256 of its content in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub sha256: Option<String>,
    /// When it is deleted; absent where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<Time>,
}
