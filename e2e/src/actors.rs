//! Nodes, and the agents' pods on them, without a kubelet.

use anyhow::{Context, Result};
use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::Pod};
use kube::{Api, api::PostParams};
use serde_json::json;

use crate::{ApiServer, apiserver::Binding};

impl ApiServer {
    /// Makes a node that is ready.
    pub fn node(&self, name: &str) -> Result<()> {
        let conditions = json!([{ "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
            "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z" }]);
        self.apply(&[json!({ "apiVersion": "v1", "kind": "Node", "metadata": {
            "name": name, "labels": { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" } } })])?;
        let patch = json!({ "status": { "conditions": conditions } }).to_string();
        self.kubectl(&["patch", "node", name, "--subresource=status", "--type=merge", "-p", &patch])?
            .success()?;
        Ok(())
    }

    /// Makes the agent's pod on a node as the installed DaemonSet would; returns its name.
    ///
    /// # Errors
    /// When the chart is not installed, or the server refuses the pod.
    pub async fn agent_pod(&self, namespace: &str, node: &str) -> Result<String> {
        let sets: Api<DaemonSet> = Api::namespaced(self.admin()?, namespace);
        let set = sets.get("leakhound-agent").await.context("the chart is not installed")?;
        let template = set.spec.context("a DaemonSet has a spec")?.template;
        let name = format!("leakhound-agent-{node}");
        let mut pod =
            Pod { metadata: template.metadata.unwrap_or_default(), spec: template.spec, ..Pod::default() };
        pod.metadata.name = Some(name.clone());
        pod.spec.get_or_insert_default().node_name = Some(node.to_owned());
        Api::namespaced(self.admin()?, namespace).create(&PostParams::default(), &pod).await?;
        Ok(name)
    }

    /// A node with an agent's pod, and the pod's token for the API server.
    pub async fn agent_token(&self, namespace: &str, node: &str) -> Result<String> {
        self.node(node)?;
        let pod = self.agent_pod(namespace, node).await?;
        self.token(namespace, "leakhound-agent", Binding::Pod(&pod), None).await
    }

    /// The uid of a pod.
    pub async fn pod_uid(&self, namespace: &str, name: &str) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.admin()?, namespace);
        pods.get(name).await?.metadata.uid.context("a pod has a uid")
    }
}
