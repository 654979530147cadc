//! What a user may wish for: which pods, how many, when to stop; and wishes that cannot be granted.

use k8s_openapi::jiff::{self, SignedDuration};

use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use leakhound_crds::{
    condition::{LEAK_DETECTED, REPORT_READY, SUSPENDED, TARGETS_RESOLVED},
    probe::{Desired, ProbeReason},
};
use serde_json::{Value, json};

use crate::{
    rig::{Rig, condition, holds, state},
    samples,
};

async fn change(rig: &Rig, namespace: &str, spec: &Value) {
    let patch = Patch::Merge(json!({ "spec": spec }));
    rig.investigations(namespace).patch("cart", &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_stops_the_clock_and_resumed_watches_for_the_rest() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let namespace = rig.server.namespace("suspend").await.unwrap();
    rig.node("suspend-a").await;
    rig.pod(&namespace, "cart-1", "suspend-a", &json!({})).await;
    let spec = json!({ "target": { "podName": "cart-1" }, "duration": "2m", "suspend": true });
    let investigation = rig.investigate(&namespace, "cart", &spec).await;
    rig.until_reason(&namespace, "cart", "Suspended").await;
    assert_eq!(rig.probes_of(&investigation.uid().unwrap()).await.unwrap().len(), 0);

    change(&rig, &namespace, &json!({ "suspend": false })).await;
    let first = rig.order(&investigation).await;
    rig.says(&first, ProbeReason::Running, 50, &json!({})).await;
    rig.until_reason(&namespace, "cart", "Running").await;
    change(&rig, &namespace, &json!({ "suspend": true })).await;
    let first = rig
        .order_that(&investigation, "the agent is told", |probe| probe.spec.desired == Desired::Stop)
        .await;
    rig.finishes(&first, ProbeReason::StoppedEarly, 50, samples::recording("open_session")).await;
    let status = rig.until_reason(&namespace, "cart", "Suspended").await;
    assert_eq!((status.probed_seconds, holds(&status, SUSPENDED)), (Some(50), true));

    change(&rig, &namespace, &json!({ "suspend": false })).await;
    let second = rig.order(&investigation).await;
    assert_ne!(second.name_any(), first.name_any());
    assert_eq!(second.spec.profile.duration, "1m10s");
    rig.finishes(&second, ProbeReason::Completed, 70, samples::recording("open_session")).await;
    let status = rig.until_reason(&namespace, "cart", "Completed").await;
    assert_eq!(
        (status.probed_seconds, status.targets[0].epochs, status.targets[0].coverage_percent),
        (Some(120), 2, Some(100))
    );
    assert!(holds(&status, LEAK_DETECTED) && holds(&status, REPORT_READY));
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_early_and_keeps_the_report() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let namespace = rig.server.namespace("stop").await.unwrap();
    rig.node("stop-a").await;
    rig.pod(&namespace, "cart-1", "stop-a", &json!({})).await;
    let investigation = rig
        .investigate(&namespace, "cart", &json!({ "target": { "podName": "cart-1" }, "duration": "1h" }))
        .await;
    let probe = rig.order(&investigation).await;
    rig.says(&probe, ProbeReason::Running, 60, &json!({})).await;
    rig.until_reason(&namespace, "cart", "Running").await;
    change(&rig, &namespace, &json!({ "stop": true })).await;
    let probe = rig
        .order_that(&investigation, "the agent is told", |probe| probe.spec.desired == Desired::Stop)
        .await;
    rig.finishes(&probe, ProbeReason::StoppedEarly, 60, samples::recording("open_session")).await;
    let status = rig.until_reason(&namespace, "cart", "StoppedEarly").await;
    assert!(holds(&status, "Succeeded") && holds(&status, REPORT_READY));

    rig.investigate(&namespace, "never", &json!({ "target": { "podName": "cart-1" }, "stop": true })).await;
    let status = rig.until_reason(&namespace, "never", "StoppedEarly").await;
    assert_eq!(condition(&status, REPORT_READY).reason, "NoRecording");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pods_of_a_deployment_are_its_own_and_their_recordings_are_merged() {
    let Some(rig) = Rig::start(&["--node-slots=5"]).await else { return };
    let namespace = rig.server.namespace("workload").await.unwrap();
    rig.node("workload-a").await;
    let labels = json!({ "app": "cart" });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "app", "image": "cart" }] } });
    let spec = json!({ "replicas": 0, "selector": { "matchLabels": labels }, "template": template });
    let deployment = create(
        &rig,
        &namespace,
        "deployments",
        "Deployment",
        json!({ "metadata": { "name": "cart" }, "spec": spec }),
    )
    .await;
    let set = create(&rig, &namespace, "replicasets", "ReplicaSet", json!({
        "metadata": { "name": "cart-1f", "labels": labels, "ownerReferences": owner("Deployment", "cart", &deployment) }, "spec": spec,
    })).await;
    for name in ["cart-1", "cart-2", "cart-3"] {
        let owned = json!({ "metadata": { "labels": labels, "ownerReferences": owner("ReplicaSet", "cart-1f", &set) } });
        rig.pod(&namespace, name, "workload-a", &owned).await;
    }
    rig.pod(&namespace, "stray", "workload-a", &json!({ "metadata": { "labels": labels } })).await;
    let target = json!({ "workloadRef": { "kind": "Deployment", "name": "cart" }, "maxTargets": 10 });
    let spec = json!({ "target": target, "duration": "1m", "report": { "formats": ["HTML", "Folded"] } });
    let investigation = rig.investigate(&namespace, "cart", &spec).await;
    let status = rig.until(&namespace, "cart", "three targets", |status| status.targets.len() == 3).await;
    assert!(status.targets.iter().all(|target| target.pod_name != "stray"));
    for target in &status.targets {
        let probe = rig
            .order_that(&investigation, "a probe for each", |probe| probe.spec.pod_uid == target.pod_uid)
            .await;
        let function = if target.pod_name == "cart-3" { "" } else { "open_session" };
        rig.finishes(&probe, ProbeReason::Completed, 60, samples::recording(function)).await;
    }
    let status = rig.until_reason(&namespace, "cart", "Completed").await;
    let leak = condition(&status, LEAK_DETECTED);
    assert!(leak.message.contains("open_session loses memory in 2 of 3 containers"), "{}", leak.message);
    let summary = status.summary.unwrap();
    assert_eq!((summary.targets.as_deref(), summary.growth.as_deref()), (Some("3/3"), Some("+450Mi/h")));
    let html = status.reports.iter().find(|report| report.format == "HTML").unwrap().url.clone().unwrap();
    let cover = reqwest::get(&html).await.unwrap().text().await.unwrap();
    let links: Vec<&str> = cover.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(links.len(), 3, "{cover}");
    let base = html.rsplit_once('/').unwrap().0;
    for link in links {
        assert_eq!(reqwest::get(format!("{base}/{link}")).await.unwrap().status(), 200, "{link}");
    }
}

async fn create(rig: &Rig, namespace: &str, plural: &str, kind: &str, mut object: Value) -> String {
    object["apiVersion"] = "apps/v1".into();
    object["kind"] = kind.into();
    let request = http::Request::post(format!("/apis/apps/v1/namespaces/{namespace}/{plural}"))
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&object).unwrap())
        .unwrap();
    let made: Value = rig.client.request(request).await.unwrap();
    made["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn owner(kind: &str, name: &str, uid: &str) -> Value {
    json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true }])
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_that_cannot_be_granted_end_in_a_condition_with_a_next_step() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let namespace = rig.server.namespace("refusals").await.unwrap();
    rig.node("refusals-a").await;
    rig.server.node("refusals-b").unwrap();
    let taint =
        json!({ "spec": { "taints": [{ "key": "dedicated", "value": "gpu", "effect": "NoSchedule" }] } });
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(rig.client.clone());
    nodes.patch("refusals-b", &PatchParams::default(), &Patch::Merge(&taint)).await.unwrap();
    let class: k8s_openapi::api::node::v1::RuntimeClass = serde_json::from_value(json!({
        "metadata": { "name": "secure" }, "handler": "runsc" }))
    .unwrap();
    let _exists = Api::all(rig.client.clone()).create(&PostParams::default(), &class).await;
    rig.pod(&namespace, "plain", "refusals-a", &json!({})).await;
    rig.pod(
        &namespace,
        "several",
        "refusals-a",
        &json!({ "spec": { "containers": [
        { "name": "app", "image": "a" }, { "name": "proxy", "image": "p" }] } }),
    )
    .await;
    rig.pod(&namespace, "sandboxed", "refusals-a", &json!({ "spec": { "runtimeClassName": "secure" } }))
        .await;
    rig.pod(
        &namespace,
        "denied",
        "refusals-a",
        &json!({ "metadata": { "labels": { "leakhound.dev/deny": "" } } }),
    )
    .await;
    rig.pod(&namespace, "elsewhere", "refusals-b", &json!({})).await;
    for (name, spec, reason, words) in [
        (
            "missing",
            json!({ "target": { "podName": "none" }, "startingDeadlineSeconds": 0 }),
            "PodNotFound",
            "there is no pod none",
        ),
        (
            "container",
            json!({ "target": { "podName": "plain", "container": "db" } }),
            "NoSuchContainer",
            "it has app",
        ),
        ("ambiguous", json!({ "target": { "podName": "several" } }), "ContainerNotNamed", "(app, proxy)"),
        ("sandbox", json!({ "target": { "podName": "sandboxed" } }), "UnsupportedRuntime", "runsc"),
        ("label", json!({ "target": { "podName": "denied" } }), "Forbidden", "leakhound.dev/deny"),
        (
            "agentless",
            json!({ "target": { "podName": "elsewhere" }, "startingDeadlineSeconds": 0 }),
            "NoAgentOnNode",
            "dedicated=gpu:NoSchedule",
        ),
        (
            "workload",
            json!({ "target": { "workloadRef": { "kind": "StatefulSet", "name": "none" } }, "startingDeadlineSeconds": 0 }),
            "WorkloadNotFound",
            "there is no StatefulSet none",
        ),
        (
            "labels",
            json!({ "target": { "selector": { "matchLabels": { "app": "none" } } }, "startingDeadlineSeconds": 0 }),
            "NoPodMatches",
            "--show-labels",
        ),
    ] {
        let investigation = rig.investigate(&namespace, name, &spec).await;
        let status = rig.until_reason(&namespace, name, reason).await;
        let message = &condition(&status, "Succeeded").message;
        assert!(message.contains(words), "{name}: {message}");
        assert_eq!(condition(&status, TARGETS_RESOLVED).status.to_string(), "False", "{name}");
        assert_eq!(rig.probes_of(&investigation.uid().unwrap()).await.unwrap().len(), 0, "{name}");
    }
    // Waiting for something that may come is no error and no end.
    let waiting =
        rig.investigate(&namespace, "patient", &json!({ "target": { "podName": "elsewhere" } })).await;
    let status = rig
        .until(&namespace, "patient", "it says what is missing", |status| {
            condition_reason(status, TARGETS_RESOLVED) == "NoAgentOnNode"
        })
        .await;
    assert_eq!(state(&status), "Pending");
    rig.until_told(&waiting, &["NoAgentOnNode"]).await;
    rig.beat("refusals-b", SignedDuration::ZERO).await;
    rig.order(&waiting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_that_the_node_cannot_do_is_refused_before_anything_is_probed() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let namespace = rig.server.namespace("modes").await.unwrap();
    rig.node("modes-a").await;
    let preflight = json!({ "kernel": "6.1.0", "modes": [{ "mode": "Heap" }, { "mode": "Growth" },
        { "mode": "Kernel", "obstacle": "kernel mode does not work on kernel 6.1.0: no tracepoint kmalloc" }] });
    rig.publish("modes-a", SignedDuration::ZERO, &preflight).await;
    rig.pod(&namespace, "cart-1", "modes-a", &json!({})).await;
    let in_mode = |mode: &str| json!({ "target": { "podName": "cart-1" }, "mode": mode });

    let refused = rig.investigate(&namespace, "kernel", &in_mode("Kernel")).await;
    let status = rig.until_reason(&namespace, "kernel", "UnsupportedKernel").await;
    let message = &condition(&status, "Succeeded").message;
    assert_eq!(
        message,
        "node modes-a, where pod cart-1 runs, cannot do mode Kernel: kernel mode does not work on kernel 6.1.0: no \
         tracepoint kmalloc"
    );
    assert_eq!(condition(&status, TARGETS_RESOLVED).reason, "UnsupportedKernel");
    assert_eq!(rig.probes_of(&refused.uid().unwrap()).await.unwrap().len(), 0);

    let granted = rig.investigate(&namespace, "growth", &in_mode("Growth")).await;
    rig.order(&granted).await;
}

fn condition_reason<'a>(status: &'a leakhound_crds::LeakInvestigationStatus, type_: &str) -> &'a str {
    leakhound_crds::condition::find(&status.conditions, type_)
        .map_or("", |condition| condition.reason.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_fair_and_a_slot_is_free_as_soon_as_a_probe_has_ended() {
    let Some(rig) = Rig::start(&["--cluster-slots=3"]).await else { return };
    let namespace = rig.server.namespace("queue").await.unwrap();
    for node in ["queue-a", "queue-b"] {
        rig.node(node).await;
    }
    for (pod, node) in
        [("a1", "queue-a"), ("a2", "queue-a"), ("a3", "queue-a"), ("b1", "queue-b"), ("b2", "queue-b")]
    {
        rig.pod(&namespace, pod, node, &json!({})).await;
    }
    let mut made = Vec::new();
    for (name, pod) in [("i1", "a1"), ("i2", "a2"), ("i3", "a3"), ("i4", "a1"), ("i5", "b1"), ("i6", "b2")] {
        made.push(
            rig.investigate(&namespace, name, &json!({ "target": { "podName": pod }, "duration": "1m" }))
                .await,
        );
        // Creation times have seconds: those who come first shall be first.
        rig.until(&namespace, name, "its target is known", |status| !status.targets.is_empty()).await;
        let second = jiff::Timestamp::now().as_second();
        leakhound_e2e::wait::until("the next second", crate::rig::PATIENCE, async || {
            anyhow::ensure!(jiff::Timestamp::now().as_second() > second);
            Ok(())
        })
        .await
        .unwrap();
    }
    for (name, words) in [
        ("i3", "node queue-a has as many"),
        ("i4", "is being watched by another"),
        ("i6", "the cluster has as many"),
    ] {
        let status = rig.until_reason(&namespace, name, "Queued").await;
        let message = &condition(&status, "Succeeded").message;
        assert!(
            message.starts_with("position 1 in the queue") && message.contains(words),
            "{name}: {message}"
        );
    }
    let first = rig.order(&made[0]).await;
    rig.order(&made[1]).await;
    rig.order(&made[4]).await;
    assert_eq!(rig.probes().list(&kube::api::ListParams::default()).await.unwrap().items.len(), 3);
    for node in ["queue-a", "queue-b"] {
        rig.beat(node, SignedDuration::ZERO).await;
    }
    rig.finishes(&first, ProbeReason::Completed, 60, samples::recording("")).await;
    rig.order(&made[2]).await;
    rig.until_reason(&namespace, "i1", "Completed").await;
    assert_eq!(state(&rig.until_reason(&namespace, "i4", "Queued").await), "Queued");
}
