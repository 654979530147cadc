//! A pod as the operator looks at it: who it is, where it runs, and what its containers do.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use leakhound_crds::{ByteQuantity, names};

/// Set by the API server on pods that a node defines itself; the value is the id that the node's cgroups carry.
const STATIC_POD: &str = "kubernetes.io/config.mirror";
const STATIC_POD_HASH: &str = "kubernetes.io/config.hash";
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PodView {
    /// Its name.
    pub(crate) name: String,
    /// Its uid.
    pub(crate) uid: String,
    /// Where it runs; absent until it is scheduled.
    pub(crate) node: Option<String>,
    /// When it was made.
    pub(crate) created: Option<Timestamp>,
    /// Running, Pending, Succeeded, Failed or Unknown.
    pub(crate) phase: String,
    /// It is being deleted.
    pub(crate) is_leaving: bool,
    /// It carries the label that forbids to investigate it.
    pub(crate) is_denied: bool,
    /// Name of its RuntimeClass.
    pub(crate) runtime_class: Option<String>,
    /// Of a pod that the node itself defines: the hash by which the node names it.
    pub(crate) static_hash: Option<String>,
    /// The container that its author considers the main one.
    pub(crate) default_container: Option<String>,
    /// Its containers and sidecars, in the order of the pod.
    pub(crate) containers: Vec<ContainerView>,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ContainerView {
    /// Its name.
    pub(crate) name: String,
    /// Its id while it runs.
    pub(crate) running: Option<String>,
    /// Why it does not run, in the words of the kubelet.
    pub(crate) idle_because: Option<String>,
    /// How often it restarted.
    pub(crate) restarts: i32,
    /// Ids of those of its containers, this one and the one before, that the kernel killed for want of memory.
    pub(crate) oom_killed: Vec<String>,
    /// Its memory limit in bytes.
    pub(crate) memory_limit: Option<u64>,
}

impl PodView {
    /// Whether it can still run something.
    pub(crate) fn is_alive(&self) -> bool {
        !self.is_leaving && self.phase != "Succeeded" && self.phase != "Failed"
    }

    /// The container of a name.
    pub(crate) fn container(&self, name: &str) -> Option<&ContainerView> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The names of its containers, for a message.
    pub(crate) fn container_names(&self) -> String {
        let names: Vec<&str> = self.containers.iter().map(|container| container.name.as_str()).collect();
        names.join(", ")
    }
}

impl From<&Pod> for PodView {
    fn from(pod: &Pod) -> Self {
        let metadata = &pod.metadata;
        let annotation = |key: &str| metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned();
        let spec = pod.spec.as_ref();
        let status = pod.status.as_ref();
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            node: spec.and_then(|spec| spec.node_name.clone()).filter(|node| !node.is_empty()),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            phase: status.and_then(|status| status.phase.clone()).unwrap_or_default(),
            is_leaving: metadata.deletion_timestamp.is_some(),
            is_denied: metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(names::DENY)),
            runtime_class: spec.and_then(|spec| spec.runtime_class_name.clone()),
            static_hash: annotation(STATIC_POD).and_then(|_| annotation(STATIC_POD_HASH)),
            default_container: annotation(DEFAULT_CONTAINER),
            containers: containers(pod),
        }
    }
}

/// Containers, and init containers that stay: those are sidecars.
fn containers(pod: &Pod) -> Vec<ContainerView> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let status = pod.status.as_ref();
    let statuses: BTreeMap<&str, &ContainerStatus> = status
        .iter()
        .flat_map(|status| [&status.container_statuses, &status.init_container_statuses])
        .flatten()
        .flatten()
        .map(|status| (status.name.as_str(), status))
        .collect();
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|container| container.restart_policy.as_deref() == Some("Always"));
    spec.containers
        .iter()
        .chain(sidecars)
        .map(|container| view(container, statuses.get(container.name.as_str()).copied()))
        .collect()
}

fn view(container: &Container, status: Option<&ContainerStatus>) -> ContainerView {
    let state = status.and_then(|status| status.state.as_ref());
    let is_running = state.is_some_and(|state| state.running.is_some());
    let last = status.and_then(|status| status.last_state.as_ref()?.terminated.as_ref());
    let ended = state.and_then(|state| state.terminated.as_ref());
    let waiting = state.and_then(|state| state.waiting.as_ref()?.reason.clone());
    let why =
        ended.map(|ended| ended.reason.clone().unwrap_or_else(|| format!("exit status {}", ended.exit_code)));
    ContainerView {
        name: container.name.clone(),
        running: status
            .filter(|_| is_running)
            .and_then(|status| status.container_id.clone())
            .filter(|id| !id.is_empty()),
        idle_because: waiting.or(why),
        restarts: status.map_or(0, |status| status.restart_count),
        oom_killed: [last, ended]
            .into_iter()
            .flatten()
            .filter(|ended| ended.reason.as_deref() == Some("OOMKilled"))
            .filter_map(|ended| ended.container_id.clone())
            .collect(),
        memory_limit: container
            .resources
            .as_ref()
            .and_then(|resources| resources.limits.as_ref()?.get("memory"))
            .and_then(|limit| ByteQuantity::from(limit.0.as_str()).bytes().ok()),
    }
}
