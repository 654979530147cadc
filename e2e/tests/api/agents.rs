//! An agent's own token: it sees its node's probes, writes their status, and nothing else.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, WatchEvent, WatchParams},
};
use leakhound_crds::{LeakProbe, probe::Desired};
use leakhound_e2e::{ApiServer, apiserver::Binding};
use serde_json::{Value, json};

use crate::support::{SYSTEM, outcome, probe};

async fn agent(server: &ApiServer, node: &str) -> Client {
    server.client_with(&server.agent_token(SYSTEM, node).await.unwrap()).unwrap()
}

fn probes(client: &Client) -> Api<LeakProbe> {
    Api::namespaced(client.clone(), SYSTEM)
}

async fn patch_status(client: &Client, name: &str, change: &Value) -> (u16, String) {
    outcome(probes(client).patch_status(name, &PatchParams::default(), &Patch::Merge(change)).await)
}

fn a_status() -> Value {
    json!({ "status": { "agentPod": "x" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn it_writes_the_status_of_its_own_node_alone() {
    let Some(server) = ApiServer::shared().await else { return };
    let (own, other) = (agent(server, "own-a").await, agent(server, "own-b").await);
    server.apply(&[probe("own", "own-a")]).unwrap();

    assert_eq!(patch_status(&own, "own", &a_status()).await.0, 200);
    let mut applied = probe("own", "own-a");
    applied["spec"] = Value::Null;
    let applied = json!({ "apiVersion": applied["apiVersion"], "kind": applied["kind"], "status": { "agentPod": "y" } });
    let parameters = PatchParams::apply("leakhound-agent").force();
    let answer = probes(&own).patch_status("own", &parameters, &Patch::Apply(&applied)).await;
    assert_eq!(outcome(answer).0, 200);

    let (code, message) = patch_status(&other, "own", &a_status()).await;
    assert_eq!(code, 403);
    assert!(
        message.ends_with("the agent of node own-b may not write a LeakProbe of node own-a"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_a_pod_on_a_node_is_refused() {
    let Some(server) = ApiServer::shared().await else { return };
    server.node("unbound-a").unwrap();
    server.apply(&[probe("unbound", "unbound-a"), pod_without_a_node("unbound-pod")]).unwrap();
    for binding in [Binding::None, Binding::Node("unbound-a"), Binding::Pod("unbound-pod")] {
        let token = server.token(SYSTEM, "leakhound-agent", binding, None).await.unwrap();
        let (code, message) =
            patch_status(&server.client_with(&token).unwrap(), "unbound", &a_status()).await;
        assert_eq!(code, 403, "{binding:?}");
        let wanted =
            "this token is not bound to a pod on a node: agents must use the token mounted in their own pod";
        assert!(message.ends_with(wanted), "{binding:?}: {message}");
    }
}

fn pod_without_a_node(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": SYSTEM },
        "spec": { "serviceAccountName": "leakhound-agent", "containers": [{ "name": "agent", "image": "none" }] } })
}

#[tokio::test(flavor = "multi_thread")]
async fn it_cannot_touch_the_order() {
    let Some(server) = ApiServer::shared().await else { return };
    let own = agent(server, "order-a").await;
    server.apply(&[probe("order", "order-a")]).unwrap();
    let stop = json!({ "spec": { "desired": "Stop" } });

    let (code, message) =
        outcome(probes(&own).patch("order", &PatchParams::default(), &Patch::Merge(&stop)).await);
    assert_eq!(code, 403);
    assert!(message.contains("cannot patch resource \"leakprobes\""), "{message}");

    let dressed = json!({ "spec": { "desired": "Stop", "nodeName": "order-b" }, "status": { "agentPod": "y" },
        "metadata": { "labels": { "a": "b" }, "finalizers": ["x/y"] } });
    assert_eq!(patch_status(&own, "order", &dressed).await.0, 200);
    let stored = probes(&server.admin().unwrap()).get("order").await.unwrap();
    assert_eq!((stored.spec.node_name.as_str(), stored.spec.desired), ("order-a", Desired::Run));
    assert!(stored.metadata.labels.is_none() && stored.metadata.finalizers.is_none());
    assert_eq!(stored.status.unwrap().agent_pod.as_deref(), Some("y"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_too_wide_does_not_help() {
    let Some(server) = ApiServer::shared().await else { return };
    let own = agent(server, "wide-a").await;
    server.apply(&[probe("wide", "wide-a")]).unwrap();
    // of this probe alone: all agents of this server have one account
    let rights = ["--verb=patch,delete", "--resource=leakprobes", "--resource-name=wide"];
    let role = [&["-n", SYSTEM, "create", "role", "too-wide"][..], &rights].concat();
    server.kubectl(&role).unwrap().success().unwrap();
    let account = format!("--serviceaccount={SYSTEM}:leakhound-agent");
    let binding = ["-n", SYSTEM, "create", "rolebinding", "too-wide", "--role=too-wide", &account];
    server.kubectl(&binding).unwrap().success().unwrap();

    let stop = json!({ "spec": { "desired": "Stop" } });
    let refused = leakhound_e2e::wait::until("the role is in force", Duration::from_secs(30), async || {
        let answer = probes(&own).patch("wide", &PatchParams::default(), &Patch::Merge(&stop)).await;
        let (code, message) = outcome(answer);
        anyhow::ensure!(!message.contains("cannot patch resource"), "{message}");
        Ok((code, message))
    });
    let wanted = "an agent may write the status of a LeakProbe and nothing else";
    let (code, message) = refused.await.unwrap();
    assert!(code == 403 && message.ends_with(wanted), "{message}");
    let deleted = probes(&own).delete("wide", &kube::api::DeleteParams::default()).await;
    let (code, message) = outcome(deleted.map(|_| ()));
    assert!(code == 403 && message.ends_with(wanted), "{message}");
    let gone = ["-n", SYSTEM, "delete", "rolebinding/too-wide", "role/too-wide"];
    server.kubectl(&gone).unwrap().success().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_writes_its_own_lease_alone() {
    let Some(server) = ApiServer::shared().await else { return };
    let own = agent(server, "lease-a").await;
    let leases: Api<Lease> = Api::namespaced(own, SYSTEM);
    let mut answers = Vec::new();
    for name in ["leakhound-agent-lease-a", "leakhound-agent-lease-b", "leakhound-operator"] {
        let lease = json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": name, "annotations": { "leakhound.dev/preflight": "{}" } },
            "spec": { "holderIdentity": "x" } });
        let parameters = PatchParams::apply("leakhound-agent").force();
        answers.push(outcome(leases.patch(name, &parameters, &Patch::Apply(&lease)).await));
    }
    assert_eq!(answers[0].0, 200, "{answers:?}");
    for (code, message) in &answers[1..] {
        let wanted = "the agent of node lease-a may write only the Lease leakhound-agent-lease-a";
        assert!(*code == 403 && message.ends_with(wanted), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_watches_the_probes_of_its_node() {
    let Some(server) = ApiServer::shared().await else { return };
    let own = agent(server, "watch-a").await;
    let of_node = "spec.nodeName=watch-a";
    let list = probes(&own).list(&ListParams::default().fields(of_node)).await.unwrap();
    let version = list.metadata.resource_version.unwrap();
    let watching = WatchParams::default().fields(of_node).timeout(60);
    let mut events = probes(&own).watch(&watching, &version).await.unwrap().boxed();

    server.apply(&[probe("watch-other", "watch-b"), probe("watch-own", "watch-a")]).unwrap();
    patch_status(&own, "watch-own", &a_status()).await;
    server
        .kubectl(&["-n", SYSTEM, "delete", "leakprobes", "watch-other", "watch-own"])
        .unwrap()
        .success()
        .unwrap();

    let mut seen = Vec::new();
    while seen.len() < 3 {
        let event = events.try_next().await.unwrap().expect("the watch ended early");
        seen.push(match event {
            WatchEvent::Added(probe) => ("added", probe.metadata.name.unwrap()),
            WatchEvent::Modified(probe) => ("modified", probe.metadata.name.unwrap()),
            WatchEvent::Deleted(probe) => ("deleted", probe.metadata.name.unwrap()),
            other => panic!("{other:?}"),
        });
    }
    let own = |what| (what, "watch-own".to_owned());
    assert_eq!(seen, [own("added"), own("modified"), own("deleted")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_found_by_node_and_investigation_and_by_nothing_else() {
    let Some(server) = ApiServer::shared().await else { return };
    let own = agent(server, "fields-a").await;
    let mut second = probe("fields-2", "fields-a");
    second["spec"]["investigation"]["uid"] = json!("u-2");
    server.apply(&[probe("fields-1", "fields-a"), second, probe("fields-3", "fields-b")]).unwrap();
    let found = async |fields: &str| {
        let list = probes(&own).list(&ListParams::default().fields(fields)).await?;
        Ok::<_, kube::Error>(list.items.into_iter().map(|one| one.metadata.name.unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(found("spec.nodeName=fields-a").await.unwrap(), ["fields-1", "fields-2"]);
    let both = "spec.nodeName=fields-a,spec.investigation.uid=u-2";
    assert_eq!(found(both).await.unwrap(), ["fields-2"]);
    let (_, message) = outcome(found("spec.podUID=p-1").await);
    assert!(message.contains("field label not supported: spec.podUID"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_stays_where_it_is() {
    let Some(server) = ApiServer::shared().await else { return };
    server.apply(&[probe("stays", "stays-a")]).unwrap();
    let client = server.admin().unwrap();
    for (change, wanted) in [
        (json!({ "nodeName": "stays-b" }), "a probe stays on its node"),
        (json!({ "investigation": { "uid": "u-2" } }), "a probe stays with its investigation"),
        (json!({ "podUID": "p-2" }), "a probe stays with its pod"),
        (json!({ "containerID": "docker://short" }), "should match '^[a-z-]+://[0-9a-f]{64}$'"),
        (json!({ "desired": "Pause" }), r#"supported values: "Run", "Stop""#),
    ] {
        let change = json!({ "spec": change });
        let answer = probes(&client).patch("stays", &PatchParams::default(), &Patch::Merge(&change)).await;
        let (code, message) = outcome(answer);
        assert!(code == 422 && message.contains(wanted), "{change}: {message}");
    }
    let follows = json!({ "spec": { "containerID": format!("containerd://{}", "1".repeat(64)), "desired": "Stop",
        "deadlineTime": "2031-01-01T00:00:00Z" } });
    let answer = probes(&client).patch("stays", &PatchParams::default(), &Patch::Merge(&follows)).await;
    assert_eq!(outcome(answer).0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sees_nothing_else() {
    let Some(server) = ApiServer::shared().await else { return };
    let own = agent(server, "blind-a").await;
    let (code, _) = outcome(Api::<Pod>::namespaced(own.clone(), SYSTEM).list(&ListParams::default()).await);
    assert_eq!(code, 403);
    let (code, _) =
        outcome(Api::<leakhound_crds::LeakInvestigation>::all(own).list(&ListParams::default()).await);
    assert_eq!(code, 403);
}
