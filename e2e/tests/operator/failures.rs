//! Everything that dies: the operator at each step, its lease, the API server, pods, containers, nodes.

use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use leakhound_crds::{condition::REPORT_READY, probe::ProbeReason};
use leakhound_e2e::wait::until;
use serde_json::json;

use crate::{
    actors::container_id,
    rig::{PATIENCE, Rig, SYSTEM, condition, holds, state},
    samples,
};

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_step_and_started_again_it_goes_on() {
    let Some(mut rig) = Rig::start(&[]).await else { return };
    let (namespace, investigation) = rig.asked("killed", &json!({})).await;
    let uid = investigation.uid().unwrap();
    rig.until(&namespace, "cart", "the target is known", |status| !status.targets.is_empty()).await;
    rig.restart(&[]).await;
    let probe = rig.order(&investigation).await;
    rig.restart(&[]).await;
    rig.says(&probe, ProbeReason::Running, 10, &json!({})).await;
    rig.until_reason(&namespace, "cart", "Running").await;
    rig.operator.process.kill().unwrap();
    // The agent goes on without it.
    rig.says(
        &probe,
        ProbeReason::Running,
        40,
        &json!({ "digest": samples::digest("open_session", 4 << 20).to_string() }),
    )
    .await;
    rig.operator = rig.start_another("operator", &[]).await;
    rig.operator.ready().await.unwrap();
    rig.until(&namespace, "cart", "what was said meanwhile shows", |status| {
        status.probed_seconds == Some(40)
    })
    .await;
    let token = rig.upload_token(&probe.spec.node_name).await;
    assert_eq!(rig.upload(&probe.uid().unwrap(), &token, samples::recording("open_session")).await.0, 201);
    rig.restart(&[]).await;
    rig.says(&probe, ProbeReason::Completed, 60, &json!({})).await;
    // While it analyzes and stores: at any of these moments.
    for _ in 0..3 {
        rig.restart(&[]).await;
    }
    let status = rig.until_reason(&namespace, "cart", "Completed").await;
    assert!(holds(&status, REPORT_READY));
    let url = status.reports[0].url.clone().unwrap();
    rig.restart(&[]).await;
    let path = url.split("/r/").nth(1).unwrap();
    let answer = reqwest::get(format!("{}/r/{path}", rig.operator.reports)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(rig.probes_of(&uid).await.unwrap().len(), 1, "ordered once");
    let ids = std::fs::read_dir(rig.stored("reports")).unwrap().count();
    assert_eq!(ids, 1, "one set of reports");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_operators_one_leads_and_the_other_takes_over() {
    let Some(mut rig) = Rig::start(&[]).await else { return };
    let other = rig.start_another("operator-b", &[]).await;
    until("the other one stands by", PATIENCE, async || {
        let ready = reqwest::get(format!("{}/readyz", other.admin)).await?;
        anyhow::ensure!(ready.status() == 200, "{}", ready.text().await?);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(other.metric("leakhound_operator_leader").await.unwrap(), 0.0);
    let (namespace, investigation) = rig.asked("two", &json!({})).await;
    let probe = rig.order(&investigation).await;
    let token = rig.upload_token(&probe.spec.node_name).await;
    let leader = std::mem::replace(&mut rig.operator, other);
    let (code, text) = rig.upload(&probe.uid().unwrap(), &token, samples::recording("open_session")).await;
    assert_eq!(code, 503, "who does not lead takes nothing: {text}");
    let before = rig.probes_of(&investigation.uid().unwrap()).await.unwrap().len();
    // Frozen, as a node without processor time is: its Lease runs out, and it must not lead when it wakes.
    leader.process.signal(rustix::process::Signal::STOP).unwrap();
    rig.operator.ready().await.unwrap();
    leader.process.signal(rustix::process::Signal::CONT).unwrap();
    until("the first one knows that it does not lead", PATIENCE, async || {
        anyhow::ensure!(leader.metric("leakhound_operator_leader").await? == 0.0);
        Ok(())
    })
    .await
    .unwrap();
    rig.finishes(&probe, ProbeReason::Completed, 60, samples::recording("open_session")).await;
    rig.until_reason(&namespace, "cart", "Completed").await;
    assert_eq!(rig.probes_of(&investigation.uid().unwrap()).await.unwrap().len(), before);
    // Asked to end, it gives the Lease back: the other one need not wait until it runs out.
    let status = rig.operator.process.terminate(Duration::from_secs(20)).unwrap();
    assert!(status.success(), "{status}");
    assert_ne!(holder(&rig).await, "operator-b", "its last write was to the Lease");
    rig.operator = leader;
    rig.operator.ready().await.unwrap();
    assert!(rig.operator.process.terminate(Duration::from_secs(20)).unwrap().success());
    assert_eq!(holder(&rig).await, "");
}

/// Who holds the leader's Lease.
async fn holder(rig: &Rig) -> String {
    let leases: Api<k8s_openapi::api::coordination::v1::Lease> = Api::namespaced(rig.client.clone(), SYSTEM);
    let lease = leases.get("leakhound-operator").await.unwrap();
    lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_goes_and_comes_back() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let (namespace, investigation) = rig.asked("restarted", &json!({})).await;
    let probe = rig.order(&investigation).await;
    let token = rig.upload_token(&probe.spec.node_name).await;
    let client = rig.agent_client().await;
    rig.server.stop().unwrap();
    let recording = samples::recording("open_session");
    let request = client
        .put(format!("{}/v1/probes/{}/recording", rig.operator.upload, probe.uid().unwrap()))
        .bearer_auth(&token)
        .header("Leakhound-Sha256", crate::actors::sha256(&recording))
        .body(recording.clone());
    let (code, text) = crate::actors::answer(request).await.unwrap();
    assert_eq!(code, 503, "nobody can say whose token it is: {text}");
    until("the leader does not believe in itself any more", PATIENCE, async || {
        anyhow::ensure!(rig.operator.metric("leakhound_operator_leader").await? == 0.0);
        Ok(())
    })
    .await
    .unwrap();
    let alive = reqwest::get(format!("{}/healthz", rig.operator.admin)).await.unwrap();
    assert_eq!(alive.status(), 200, "no reason to restart it");
    rig.server.resume().await.unwrap();
    rig.operator.ready().await.unwrap();
    rig.beat(&probe.spec.node_name, SignedDuration::ZERO).await;
    rig.finishes(&probe, ProbeReason::Completed, 60, recording).await;
    rig.until_reason(&namespace, "cart", "Completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_conflicts_neither_stops_it_nor_makes_it_run_hot() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let (namespace, investigation) = rig.asked("storm", &json!({})).await;
    let api = rig.investigations(&namespace);
    let storm = tokio::spawn(async move {
        for number in 0_u32.. {
            let note = json!({ "metadata": { "annotations": { "note": number.to_string() } } });
            api.patch("cart", &PatchParams::default(), &Patch::Merge(&note)).await.unwrap();
        }
    });
    let probe = rig.order(&investigation).await;
    rig.says(&probe, ProbeReason::Running, 10, &json!({})).await;
    rig.until_reason(&namespace, "cart", "Running").await;
    rig.finishes(&probe, ProbeReason::Completed, 60, samples::recording("open_session")).await;
    let status = rig.until_reason(&namespace, "cart", "Completed").await;
    storm.abort();
    assert!(holds(&status, REPORT_READY));
    let writes = rig.operator.metric("leakhound_operator_status_writes_total").await.unwrap();
    let conflicts = rig.operator.metric("leakhound_operator_reconcile_errors_total").await.unwrap();
    println!("{writes} status writes, {conflicts} reconciles in vain");
    assert!(writes <= 12.0, "{writes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_container_is_followed() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let (namespace, investigation) = rig.asked("follow", &json!({})).await;
    let probe = rig.order(&investigation).await;
    rig.says(&probe, ProbeReason::Running, 20, &json!({})).await;
    rig.until_reason(&namespace, "cart", "Running").await;
    rig.runs(&namespace, "cart-1", 2, 1).await;
    let followed = rig
        .order_that(&investigation, "the agent is told the new id", |probe| {
            probe.spec.container_id == container_id(2)
        })
        .await;
    assert_eq!((followed.name_any(), followed.metadata.generation), (probe.name_any(), Some(2)));
    rig.until(&namespace, "cart", "the restart shows", |status| status.targets[0].restarts == 1).await;
    rig.until_told(&investigation, &["TargetRestarted"]).await;
    rig.finishes(&followed, ProbeReason::Completed, 60, samples::recording("open_session")).await;
    let status = rig.until_reason(&namespace, "cart", "Completed").await;
    assert_eq!(status.targets[0].container_id.as_deref(), Some(container_id(2).as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_container_ends_it_when_the_user_wishes_so() {
    let Some(rig) = Rig::start(&[]).await else { return };
    for (policy, reason) in [("Finish", "TargetGone"), ("Fail", "ContainerRestarted")] {
        let name = policy.to_lowercase();
        let (namespace, investigation) = rig.asked(&name, &json!({ "onContainerRestart": policy })).await;
        let probe = rig.order(&investigation).await;
        rig.says(&probe, ProbeReason::Running, 20, &json!({})).await;
        rig.until_reason(&namespace, "cart", "Running").await;
        rig.runs(&namespace, "cart-1", 2, 1).await;
        rig.finishes(&probe, ProbeReason::TargetGone, 20, samples::recording("open_session")).await;
        let status = rig
            .until(&namespace, "cart", "it is over, and what was seen can be read", |status| {
                state(status) == reason && holds(status, REPORT_READY)
            })
            .await;
        assert_eq!(holds(&status, "Succeeded"), policy == "Finish");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pod_ends_its_part_with_what_was_seen() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let (namespace, investigation) = rig.asked("gone", &json!({})).await;
    let probe = rig.order(&investigation).await;
    rig.says(&probe, ProbeReason::Running, 20, &json!({})).await;
    rig.until_reason(&namespace, "cart", "Running").await;
    rig.delete_pod(&namespace, "cart-1").await;
    rig.finishes(&probe, ProbeReason::TargetGone, 25, samples::recording("open_session")).await;
    let status = rig.until_reason(&namespace, "cart", "TargetGone").await;
    assert!(holds(&status, "Succeeded") && holds(&status, REPORT_READY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_node_ends_its_part_and_frees_its_slot() {
    let Some(rig) = Rig::start(&["--cluster-slots=1"]).await else { return };
    let (namespace, investigation) = rig.asked("lost", &json!({})).await;
    let probe = rig.order(&investigation).await;
    let digest = samples::digest("open_session", 3 << 20).to_string();
    rig.says(&probe, ProbeReason::Running, 30, &json!({ "digest": digest })).await;
    rig.until_reason(&namespace, "cart", "Running").await;
    let (other_namespace, other) = rig.asked("waits", &json!({})).await;
    rig.until_reason(&other_namespace, "cart", "Queued").await;
    rig.beat("lost-a", SignedDuration::from_secs(61)).await;
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(rig.client.clone());
    nodes.delete("lost-a", &kube::api::DeleteParams::default()).await.unwrap();
    let status = rig.until_reason(&namespace, "cart", "NodeLost").await;
    assert!(!holds(&status, "Succeeded"));
    assert_eq!(condition(&status, REPORT_READY).reason, "SummaryOnly");
    assert_eq!(status.findings[0].frames[0].function, "open_session", "what was seen until then");
    rig.order(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_denied_later_starts_nothing() {
    let Some(rig) = Rig::start(&["--cluster-slots=1"]).await else { return };
    let (namespace, first) = rig.asked("before", &json!({})).await;
    let probe = rig.order(&first).await;
    let (denied, second) = rig.asked("denied", &json!({})).await;
    rig.until_reason(&denied, "cart", "Queued").await;
    rig.server
        .kubectl(&["label", "namespace", &denied, "leakhound.dev/deny=yes"])
        .unwrap()
        .success()
        .unwrap();
    rig.finishes(&probe, ProbeReason::Completed, 60, samples::recording("")).await;
    rig.until_reason(&namespace, "cart", "Completed").await;
    let status = rig.until_reason(&denied, "cart", "Forbidden").await;
    assert_eq!(state(&status), "Forbidden");
    assert_eq!(rig.probes_of(&second.uid().unwrap()).await.unwrap().len(), 0);
}
