//! `LeakProbe`: the operator's order to one node for one container, and the agent's word on how it goes.

pub mod profile;
pub mod reason;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use profile::Profile;
pub use reason::ProbeReason;

use crate::{condition::Condition, investigation::Mode, rules};

/// The order: which container on which node, how, and until when at the latest.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "leakhound.dev",
    version = "v1alpha1",
    kind = "LeakProbe",
    namespaced,
    status = "LeakProbeStatus",
    derive = "PartialEq",
    category = "leaks",
    doc = "The order to one node for one container, with a deadline. Lives in Leakhound's own namespace only.",
    selectable = ".spec.nodeName",
    selectable = ".spec.investigation.uid",
    printcolumn(name = "Node", type_ = "string", json_path = ".spec.nodeName"),
    printcolumn(name = "Investigation", type_ = "string", json_path = ".spec.investigation.name"),
    printcolumn(name = "Desired", type_ = "string", json_path = ".spec.desired"),
    printcolumn(
        name = "State",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Succeeded")].reason"#
    ),
    // a column of type date shows a time to come as <invalid>
    printcolumn(name = "Deadline", type_ = "string", json_path = ".spec.deadlineTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct LeakProbeSpec {
    /// Node on which the container runs. Cannot be changed.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::stays("on its node"))]
    pub node_name: String,
    /// The investigation that this is for. Cannot be changed.
    #[x_kube(validation = rules::stays("with its investigation"))]
    pub investigation: InvestigationRef,
    /// Uid of the pod. Cannot be changed.
    #[serde(rename = "podUID")]
    #[schemars(length(min = 1, max = 36))]
    #[x_kube(validation = rules::stays("with its pod"))]
    pub pod_uid: String,
    /// Of a pod that the node itself defines: the hash by which the node names it instead of the uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub static_pod_hash: Option<String>,
    /// Id of the container, such as containerd://..., which changes when it restarted and the investigation follows.
    #[serde(rename = "containerID")]
    #[schemars(length(max = 128), regex(pattern = r"^[a-z-]+://[0-9a-f]{64}$"))]
    pub container_id: String,
    /// Name of the container.
    #[schemars(length(min = 1, max = 63))]
    pub container_name: String,
    /// What is watched.
    pub mode: Mode,
    /// Probes end then, whatever else happens.
    pub deadline_time: Time,
    /// Run, or Stop: take the probes off and finish. Default Run.
    #[serde(default)]
    pub desired: Desired,
    /// The wishes of the investigation, with every choice made.
    pub profile: Profile,
}

/// Which investigation a probe is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvestigationRef {
    /// Its namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Its name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its uid: one of the same name that was created later is another one.
    #[schemars(length(min = 1, max = 36))]
    pub uid: String,
}

/// What the operator wants of a probe now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Desired {
    /// Watch.
    #[default]
    Run,
    /// Take the probes off and finish with what was seen.
    Stop,
}

/// How it goes, in the agent's words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LeakProbeStatus {
    /// The metadata.generation that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Name of the agent's pod: another one than before means that the agent restarted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub agent_pod: Option<String>,
    /// Names one run of the agent: another one than before means that it restarted, in the same pod or with the node.
    #[serde(rename = "agentBootID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    pub agent_boot_id: Option<String>,
    /// When the first probe went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the last snapshot was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_snapshot_time: Option<Time>,
    /// Seconds with probes on so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage_seconds: Option<i64>,
    /// The recording that was uploaded: `sha256:` and its hash in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub result_digest: Option<String>,
    /// Partial verdict, top 5, ledger: JSON text of at most 32 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32_768))]
    pub digest: Option<String>,
    /// What is true of the probe: Succeeded sums up, RecordingUploaded says whether the operator has the recording.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}
