//! Which container is meant.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wishes::Processes;
use crate::rules;

/// The container to watch, in the namespace of this object.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.podName), has(self.workloadRef), has(self.selector)].filter(set, set).size() == 1")
    .message("set exactly one of podName, workloadRef and selector"))]
pub struct Target {
    /// Name of a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub pod_name: Option<String>,
    /// A workload whose pods are candidates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_ref: Option<WorkloadRef>,
    /// Labels of the pods that are candidates. An empty selector is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub selector: Option<Selector>,
    /// Name of the container. Default: the one that the annotation kubectl.kubernetes.io/default-container names, else the
    /// only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub container: Option<String>,
    /// How many of the candidates to watch, 1 to 10. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10))]
    pub max_targets: i32,
    /// Which of the candidates come first. HighestMemory goes by what the API knows of memory, as a metrics API is not
    /// everywhere: those whose container was last killed for want of memory, then those that restarted most often, then those
    /// with the highest memory limit, where none is the highest, then the oldest. Oldest and Newest go by the age of the pod.
    /// Default HighestMemory.
    #[serde(default)]
    pub selection_policy: SelectionPolicy,
    /// Which processes of the container to watch.
    #[serde(default)]
    pub processes: Processes,
}

impl Target {
    /// One pod, its default container.
    pub fn pod(name: &str) -> Self {
        Self { pod_name: Some(name.to_owned()), max_targets: 1, ..Self::default() }
    }
}

fn one() -> i32 {
    1
}

/// A workload in the same namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadRef {
    /// API version of the workload: apps/v1, which is the default.
    #[serde(default)]
    pub api_version: WorkloadApiVersion,
    /// Kind of the workload.
    pub kind: WorkloadKind,
    /// Name of the workload.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// The API of the workloads that can be named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadApiVersion {
    /// The only one.
    #[default]
    #[serde(rename = "apps/v1")]
    AppsV1,
}

/// Kinds of workloads whose pods can be found by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "names of Kubernetes")]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
}

/// Labels that a pod must have.
#[derive(KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)")
        .message("an empty selector would match every pod of the namespace: give matchLabels or matchExpressions"),
    validation = Rule::new("!has(self.matchLabels) || self.matchLabels.all(k, size(k) <= 317)")
        .message("a label key is at most 317 characters"),
    validation = rules::labels()
)]
pub struct Selector {
    /// Labels with the value that each must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "minProperties" = 1,
        "maxProperties" = 16,
        "additionalProperties" = { "type": "string", "maxLength": 63 }
    ))]
    pub match_labels: BTreeMap<String, String>,
    /// Conditions on labels; all of them must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<Requirement>,
}

/// A condition on one label.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)")
        .message("In and NotIn need values, Exists and DoesNotExist take none"),
    validation = rules::requirement()
)]
pub struct Requirement {
    /// Key of the label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How the label's value relates to values.
    pub operator: Operator,
    /// Values for In and NotIn, at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<String>,
}

/// How a label's value relates to a list of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "names of Kubernetes")]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl From<&Selector> for LabelSelector {
    fn from(selector: &Selector) -> Self {
        let requirement = |wanted: &Requirement| LabelSelectorRequirement {
            key: wanted.key.clone(),
            operator: format!("{:?}", wanted.operator),
            values: (!wanted.values.is_empty()).then(|| wanted.values.clone()),
        };
        Self {
            match_labels: (!selector.match_labels.is_empty()).then(|| selector.match_labels.clone()),
            match_expressions: Some(selector.match_expressions.iter().map(requirement).collect()),
        }
    }
}

/// Which of the candidates come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectionPolicy {
    /// Those with the most trouble with memory: OOM kill, restarts, limit, age, in this order.
    #[default]
    HighestMemory,
    /// Those that run longest.
    Oldest,
    /// Those that started last.
    Newest,
}
