//! A node as the operator looks at it: whether it is there, and whether an agent of ours is alive on it.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Node};
use leakhound_crds::{Preflight, investigation::Mode, names, preflight};

/// An agent that has not renewed its Lease for so long is taken for dead; it renews every twenty seconds.
pub(crate) const AGENT_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct NodeView {
    /// Its name.
    pub(crate) name: String,
    /// It is part of the cluster.
    pub(crate) exists: bool,
    /// Its kubelet reports to the API server.
    pub(crate) is_ready: bool,
    /// No machine at all: pods run elsewhere, where no agent can be.
    pub(crate) is_virtual: bool,
    /// Its taints, as `key=value:Effect`.
    pub(crate) taints: Vec<String>,
    /// The agent on it.
    pub(crate) agent: AgentView,
    /// What that agent says the node can do; absent when it has not said, or speaks another version's language.
    pub(crate) preflight: Option<Preflight>,
}

/// The agent on a node, by its Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum AgentView {
    /// It renewed its Lease lately.
    Alive,
    /// It has been silent for so long.
    Silent(SignedDuration),
    /// There never was one.
    #[default]
    Absent,
}

impl NodeView {
    /// What the API server says about a node and its agent's Lease.
    pub(crate) fn new(name: &str, node: Option<&Node>, lease: Option<&Lease>, now: Timestamp) -> Self {
        let taints = node.and_then(|node| node.spec.as_ref()?.taints.as_ref());
        Self {
            name: name.to_owned(),
            exists: node.is_some(),
            is_ready: node.is_some_and(is_ready),
            is_virtual: node.is_some_and(is_virtual),
            taints: taints.into_iter().flatten().map(taint).collect(),
            agent: AgentView::of(lease, now),
            preflight: lease.and_then(said),
        }
    }

    /// What keeps a mode from working there, in the agent's words.
    pub(crate) fn obstacle_to(&self, mode: Mode) -> Option<&str> {
        self.preflight.as_ref()?.obstacle_to(mode)
    }

    /// Why there is no agent and what to do about it.
    pub(crate) fn explain_missing_agent(&self) -> String {
        let name = &self.name;
        let state = match self.agent {
            AgentView::Silent(since) => {
                format!("the agent on node {name} has been silent for {} s", since.as_secs())
            }
            AgentView::Alive | AgentView::Absent => format!("there is no Leakhound agent on node {name}"),
        };
        let next = if !self.exists {
            "the node has left the cluster".to_owned()
        } else if !self.is_ready {
            "the node is not ready".to_owned()
        } else if self.taints.is_empty() {
            "see whether the DaemonSet leakhound-agent selects this node and its pod starts there".to_owned()
        } else {
            format!(
                "the node has the taint {}: add a toleration to agent.tolerations of the chart",
                self.taints.join(" and ")
            )
        };
        format!("{state}; {next}")
    }
}

impl AgentView {
    fn of(lease: Option<&Lease>, now: Timestamp) -> Self {
        match lease.and_then(preflight::renewed).map(|renewed| now.duration_since(renewed)) {
            None => Self::Absent,
            Some(silence) if silence > AGENT_TIMEOUT => Self::Silent(silence),
            Some(_) => Self::Alive,
        }
    }
}

fn said(lease: &Lease) -> Option<Preflight> {
    let text = lease.metadata.annotations.as_ref()?.get(names::PREFLIGHT)?;
    serde_json::from_str(text).ok()
}

fn is_ready(node: &Node) -> bool {
    node.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Virtual kubelets label their nodes, and so does AWS Fargate.
fn is_virtual(node: &Node) -> bool {
    let label =
        |key: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    label("type") == Some("virtual-kubelet")
        || label("kubernetes.io/role") == Some("virtual-node")
        || label("eks.amazonaws.com/compute-type") == Some("fargate")
        || label("kubernetes.azure.com/mode") == Some("virtual")
}

fn taint(taint: &k8s_openapi::api::core::v1::Taint) -> String {
    let value = taint.value.as_deref().filter(|value| !value.is_empty());
    match value {
        Some(value) => format!("{}={value}:{}", taint.key, taint.effect),
        None => format!("{}:{}", taint.key, taint.effect),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{after, now};

    #[test]
    fn an_agent_lives_by_the_api_servers_clock_and_not_by_its_nodes() {
        let seen = |node_says: i64, noted: &[(&str, i64)]| {
            let entries: Vec<_> = noted
                .iter()
                .map(|(manager, at)| json!({ "manager": manager, "time": after(*at).to_string() }))
                .collect();
            let lease = json!({
                "metadata": { "name": "leakhound-agent-n1", "managedFields": entries },
                "spec": { "renewTime": after(node_says).to_string() },
            });
            AgentView::of(Some(&serde_json::from_value(lease).unwrap()), now())
        };
        let silent = |seconds| AgentView::Silent(SignedDuration::from_secs(seconds));
        assert_eq!(seen(-3600, &[("leakhound-agent", -5)]), AgentView::Alive, "an hour behind");
        assert_eq!(seen(3600, &[("leakhound-agent", -90)]), silent(90), "an hour ahead, and dead");
        assert_eq!(seen(-90, &[("kubectl-annotate", -5)]), silent(90), "somebody else's write");
        assert_eq!(seen(-60, &[]), AgentView::Alive);
        assert_eq!(AgentView::of(None, now()), AgentView::Absent);
    }
}
