//! Short forms for what every test here says.

use std::{path::PathBuf, time::Duration};

use leakhound_e2e::{ApiServer, apiserver::Output, wait::until};
use serde_json::{Value, json};

pub(crate) const SYSTEM: &str = "leakhound-system";

/// An investigation called `t` with this spec.
pub(crate) fn investigation(namespace: &str, spec: &Value) -> Value {
    named("t", namespace, spec)
}

pub(crate) fn named(name: &str, namespace: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "leakhound.dev/v1alpha1",
        "kind": "LeakInvestigation",
        "metadata": { "name": name, "namespace": namespace },
        "spec": spec,
    })
}

/// A spec about pod `a`, with these fields beside the target.
pub(crate) fn about_a_pod(fields: &Value) -> Value {
    let mut spec = json!({ "target": { "podName": "a" } });
    merge(&mut spec, fields);
    spec
}

pub(crate) fn merge(into: &mut Value, fields: &Value) {
    for (key, value) in fields.as_object().unwrap() {
        into[key] = value.clone();
    }
}

/// A probe for a container on a node.
pub(crate) fn probe(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "leakhound.dev/v1alpha1",
        "kind": "LeakProbe",
        "metadata": { "name": name, "namespace": SYSTEM },
        "spec": {
            "nodeName": node,
            "investigation": { "namespace": "shop", "name": "cart", "uid": "u-1" },
            "podUID": "p-1",
            "containerID": format!("containerd://{}", "0".repeat(64)),
            "containerName": "cart",
            "mode": "Heap",
            "deadlineTime": "2030-01-01T00:00:00Z",
            "profile": { "duration": "10m", "snapshotInterval": "30s" },
        },
    })
}

pub(crate) fn admin(server: &ApiServer) -> PathBuf {
    server.kubeconfig("admin", Some("system:masters")).unwrap()
}

/// Asks the server whether it would take an object; nothing is stored.
pub(crate) fn would_create(server: &ApiServer, user: &[&str], object: &Value) -> Output {
    let arguments = [&["create", "--dry-run=server", "-f", "-"], user].concat();
    server.kubectl_with(&admin(server), &arguments, &object.to_string()).unwrap()
}

/// What the server says about an object, as a user would read it after the object's name.
pub(crate) fn complaint(output: &Output) -> &str {
    let text = output.text.as_str();
    let text = text.split_once("is invalid: ").map_or(text, |(_, rest)| rest);
    let text = text.strip_prefix("Error from server (BadRequest): ").unwrap_or(text);
    text.split_once("denied request: ").map_or(text, |(_, rest)| rest)
}

/// Status code and message of an answer; 200 and nothing where it went well.
pub(crate) fn outcome<T>(answer: kube::Result<T>) -> (u16, String) {
    match answer {
        Ok(_) => (200, String::new()),
        Err(kube::Error::Api(status)) => (status.code, status.message.clone()),
        Err(other) => (0, other.to_string()),
    }
}

/// A namespace in which dev may edit, ops may edit and use mode Kernel, adm is admin and viewer may view.
pub(crate) async fn shop(server: &ApiServer, prefix: &str) -> String {
    let namespace = server.namespace(prefix).await.unwrap();
    for (user, role) in
        [("dev", "edit"), ("ops", "edit"), ("ops", "leakhound-kernel"), ("adm", "admin"), ("viewer", "view")]
    {
        let (name, role, user) =
            (format!("{user}-{role}"), format!("--clusterrole={role}"), format!("--user={user}"));
        let binding = ["-n", &namespace, "create", "rolebinding", &name, &role, &user];
        server.kubectl(&binding).unwrap().success().unwrap();
    }
    // admin includes edit, which includes view: the last to hear of it
    until("the built-in roles include Leakhound's", Duration::from_secs(30), async || {
        let may = ["-n", &namespace, "auth", "can-i", "create", "leakinvestigations", "--as=adm"];
        anyhow::ensure!(server.kubectl(&may)?.ok, "not yet");
        Ok(())
    })
    .await
    .unwrap();
    namespace
}
