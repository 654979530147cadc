//! Wishes while recordings are being analyzed.

use futures::{StreamExt, stream};
use k8s_openapi::jiff::SignedDuration;
use kube::api::{ListParams, Patch, PatchParams};
use leakhound_crds::{
    LeakInvestigation, LeakProbe,
    probe::{Desired, ProbeReason},
};
use serde_json::json;

use crate::{
    rig::{Rig, state},
    samples,
};

/// More than are reconciled at a time.
const ENDED: usize = 16;

async fn started(rig: &Rig, namespace: &str, name: &str) -> (LeakInvestigation, LeakProbe) {
    rig.beat("busy-a", SignedDuration::ZERO).await;
    rig.pod(namespace, name, "busy-a", &json!({})).await;
    let spec = json!({ "target": { "podName": name }, "duration": "1m" });
    let investigation = rig.investigate(namespace, name, &spec).await;
    let probe = rig.order(&investigation).await;
    rig.says(&probe, ProbeReason::Running, 10, &json!({})).await;
    (investigation, probe)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_not_kept_waiting_by_the_recordings_of_others() {
    let Some(rig) = Rig::start(&["--node-slots=50", "--cluster-slots=50"]).await else { return };
    let namespace = rig.server.namespace("busy").await.unwrap();
    rig.node("busy-a").await;
    let (paused, _) = started(&rig, &namespace, "paused").await;
    let names: Vec<String> = (0..ENDED).map(|number| format!("ended-{number}")).collect();
    let ended: Vec<(LeakInvestigation, LeakProbe)> =
        stream::iter(&names).then(async |name| started(&rig, &namespace, name).await).collect().await;
    let recording = samples::large(20_000);
    for (_, probe) in &ended {
        rig.finishes(probe, ProbeReason::Completed, 60, recording.clone()).await;
    }
    let suspend = json!({ "spec": { "suspend": true } });
    let api = rig.investigations(&namespace);
    let open = async || {
        let all = api.list(&ListParams::default()).await.unwrap();
        all.iter().filter_map(|one| one.status.as_ref()).filter(|status| state(status) == "Running").count()
    };
    let before = open().await;
    api.patch("paused", &PatchParams::default(), &Patch::Merge(&suspend)).await.unwrap();
    rig.order_that(&paused, "the agent is told to stop", |probe| probe.spec.desired == Desired::Stop).await;
    let after = open().await;
    println!("{before} were on or to be analyzed before the pause, and {after} after it");
    assert!(before > ENDED / 2 && after + 3 >= before, "{before} {after}");
    for name in &names {
        rig.until_reason(&namespace, name, "Completed").await;
    }
}
