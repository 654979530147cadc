//! What `doctor` sees of nodes and their agents.

use kube::{
    Api,
    api::{Patch, PatchParams},
};
use leakhound_e2e::ApiServer;
use serde_json::{Value, json};

use crate::support::{admin, leak, said};

#[tokio::test(flavor = "multi_thread")]
async fn every_node_has_a_line() {
    let Some(server) = ApiServer::shared().await else { return };
    for node in ["doctor-able", "doctor-bare", "doctor-lost"] {
        server.node(node).unwrap();
    }
    let preflight = json!({ "version": "0.1.0", "kernel": "6.18.44", "architecture": "x86_64", "btf": true,
        "attach": "uprobe.session", "missing": [], "modes": [{ "mode": "Heap" }, { "mode": "Kernel", "obstacle": "no names" }] });
    lease(server, "doctor-able", "2100-01-01T00:00:00.000000Z", &preflight).await;
    lease(server, "doctor-lost", "2026-01-01T00:00:00.000000Z", &preflight).await;

    let told = said(leak(&admin(server), &["doctor"]));
    assert_eq!(told.status, Some(0), "{}", told.err);
    for line in [
        "ok       LeakInvestigation is known",
        "ok       doctor-able: kernel 6.18.44 (x86_64), uprobe.session, agent 0.1.0",
        "not in mode Kernel: no names",
        "MISSING  doctor-bare: no agent: its DaemonSet may not tolerate a taint",
        "MISSING  doctor-lost: its agent was last heard of",
    ] {
        assert!(told.out.contains(line), "{line} is not in\n{}", told.out);
    }

    let told = said(leak(&admin(server), &["doctor", "--json"]));
    let health: Value = serde_json::from_str(&told.out).unwrap();
    let nodes = health["nodes"].as_array().unwrap();
    let able = nodes.iter().find(|node| node["name"] == "doctor-able").unwrap();
    assert_eq!(able["agent"]["preflight"]["attach"], "uprobe.session");
    assert_eq!(able["agent"]["isLost"], false);
}

/// What the agent of a node does.
async fn lease(server: &ApiServer, node: &str, renewed: &str, preflight: &Value) {
    let leases: Api<k8s_openapi::api::coordination::v1::Lease> =
        Api::namespaced(server.admin().unwrap(), "leakhound-system");
    let name = leakhound_crds::names::agent_lease(node);
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": name, "annotations": { leakhound_crds::names::PREFLIGHT: preflight.to_string() } },
        "spec": { "holderIdentity": "x", "leaseDurationSeconds": 60, "renewTime": renewed },
    });
    leases.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&lease)).await.unwrap();
}
