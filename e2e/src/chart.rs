//! The chart as a user installs it: rendered by Helm, applied to the server.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    ApiServer,
    tools::{Tools, workspace},
    wait::until,
};

/// The version that the chart is rendered for.
const KUBERNETES: &str = "1.36";

/// What the chart renders for a namespace and values.
pub fn helm_template(namespace: &str, values: &Value) -> Result<String> {
    let mut helm = Command::new(Tools::build(&[Tools::Helm])?.join("helm"))
        .args(["template", "leakhound"])
        .arg(workspace().join("charts/leakhound"))
        .args(["--namespace", namespace, "--kube-version", KUBERNETES, "--skip-tests", "--values", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("run helm")?;
    helm.stdin.take().context("helm has a standard input")?.write_all(values.to_string().as_bytes())?;
    let output = helm.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(String::from_utf8(output.stdout)?)
}

/// The documents of a YAML text.
pub fn documents(yaml: &str) -> Result<Vec<Value>> {
    use serde::Deserialize;
    let all = serde_yaml_ng::Deserializer::from_str(yaml).map(Value::deserialize);
    Ok(all.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|one| !one.is_null()).collect())
}

impl ApiServer {
    /// Installs the chart into a namespace, which is made for it, and waits until definitions and policies are in force.
    pub async fn install(&self, namespace: &str, values: &Value) -> Result<()> {
        let rendered = documents(&helm_template(namespace, values)?)?;
        let (definitions, others): (Vec<_>, Vec<_>) =
            rendered.into_iter().partition(|one| one["kind"] == "CustomResourceDefinition");
        self.apply(&[json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": namespace,
            "labels": { "pod-security.kubernetes.io/enforce": "privileged" },
        } })])?;
        self.apply(&definitions)?;
        for definition in &definitions {
            let name = definition["metadata"]["name"].as_str().context("a definition has a name")?;
            let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", name];
            self.kubectl(&wait)?.success()?;
        }
        self.apply(&others)?;
        if others.iter().any(|one| one["kind"] == "ValidatingAdmissionPolicy") {
            self.policies_in_force(namespace).await?;
        }
        Ok(())
    }

    /// Applies objects as an administrator, by server-side apply.
    pub fn apply(&self, objects: &[Value]) -> Result<String> {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        let admin = self.kubeconfig("admin", Some("system:masters"))?;
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.kubectl_with(&admin, &arguments, &list.to_string())?.success()
    }

    /// A policy acts about a second after it was written. Each is asked with a request that it must refuse.
    async fn policies_in_force(&self, namespace: &str) -> Result<()> {
        let agent = format!("--as=system:serviceaccount:{namespace}:leakhound-agent");
        let lease = json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": "leakhound-agent-nowhere", "namespace": namespace } });
        let investigation = json!({ "apiVersion": "leakhound.dev/v1alpha1", "kind": "LeakInvestigation",
            "metadata": { "name": "nowhere", "namespace": namespace }, "spec": { "target": { "podName": "nowhere" } } });
        self.refused(&lease, &[&agent], "not bound to a pod").await?;
        self.refused(&investigation, &[], "may be investigated").await
    }

    async fn refused(&self, object: &Value, user: &[&str], refusal: &str) -> Result<()> {
        let admin = self.kubeconfig("admin", Some("system:masters"))?;
        let arguments = [&["create", "--dry-run=server", "-f", "-"], user].concat();
        until("the admission policies are in force", Duration::from_secs(60), async || {
            let answer = self.kubectl_with(&admin, &arguments, &object.to_string())?;
            ensure!(!answer.ok, "a request was granted that a policy must refuse");
            ensure!(answer.text.contains(refusal), "{}", answer.text);
            Ok(())
        })
        .await
    }
}
