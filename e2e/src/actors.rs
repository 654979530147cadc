//! Nodes, and the agents' pods on them, without a kubelet.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
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

    /// Makes the pod that a DaemonSet would make on a node for the agent; returns its name.
    pub fn agent_pod(&self, namespace: &str, node: &str) -> Result<String> {
        let name = format!("leakhound-agent-{node}");
        self.apply(&[json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": namespace, "labels": { "app.kubernetes.io/component": "agent" } },
            "spec": {
                "serviceAccountName": "leakhound-agent",
                "nodeName": node,
                "tolerations": [{ "operator": "Exists" }],
                "containers": [{ "name": "agent", "image": "leakhound" }],
            } })])?;
        Ok(name)
    }

    /// A node with an agent's pod, and the pod's token for the API server.
    pub async fn agent_token(&self, namespace: &str, node: &str) -> Result<String> {
        self.node(node)?;
        let pod = self.agent_pod(namespace, node)?;
        self.token(namespace, "leakhound-agent", Binding::Pod(&pod), None).await
    }

    /// The uid of a pod.
    pub async fn pod_uid(&self, namespace: &str, name: &str) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.admin()?, namespace);
        pods.get(name).await?.metadata.uid.context("a pod has a uid")
    }
}
