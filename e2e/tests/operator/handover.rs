//! A leader that takes over while things are going on, and sees one part of them before the other.

use std::time::{Duration, Instant};

use anyhow::ensure;
use k8s_openapi::{
    api::rbac::v1::Role,
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use leakhound_crds::probe::ProbeReason;
use leakhound_e2e::wait::until;
use serde_json::json;

use crate::{
    rig::{PATIENCE, Rig, SYSTEM, state},
    samples,
};

const TO_START: i64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_goes_on_while_a_new_leader_cannot_list_probes_yet() {
    let Some(mut rig) = Rig::start(&[]).await else { return };
    let namespace = rig.server.namespace("handover").await.unwrap();
    rig.node("handover-a").await;
    rig.pod(&namespace, "cart-1", "handover-a", &json!({})).await;
    let spec = json!({
        "target": { "podName": "cart-1" }, "duration": "1m", "startingDeadlineSeconds": TO_START,
    });
    let investigation = rig.investigate(&namespace, "cart", &spec).await;
    let probe = rig.order(&investigation).await;
    rig.says(&probe, ProbeReason::Running, 10, &json!({})).await;
    rig.until_reason(&namespace, "cart", "Running").await;
    let created = investigation.creation_timestamp().unwrap().0;
    until("the time to start is over", PATIENCE, async || {
        let since = Timestamp::now().duration_since(created);
        ensure!(since > SignedDuration::from_secs(TO_START), "{since:?}");
        Ok(())
    })
    .await
    .unwrap();

    rig.operator.process.kill().unwrap();
    let roles: Api<Role> = Api::namespaced(rig.client.clone(), SYSTEM);
    let role = roles.get("leakhound-operator").await.unwrap();
    let mut blind = role.clone();
    for rule in blind.rules.iter_mut().flatten() {
        if rule.resources.iter().flatten().any(|resource| resource == "leakprobes") {
            rule.verbs.retain(|verb| verb != "list");
        }
    }
    assert_ne!(blind, role);
    let restore = |rules: &Role| Patch::Merge(json!({ "rules": rules.rules }));
    roles.patch("leakhound-operator", &PatchParams::default(), &restore(&blind)).await.unwrap();
    rig.operator = rig.start_another("operator", &[]).await;
    let refused = until("the probes cannot be listed", PATIENCE, async || {
        let log = rig.operator.process.log();
        let refused = log.lines().filter(|line| line.contains("leakprobes") && line.contains("forbidden"));
        ensure!(refused.count() >= 3, "{}", rig.operator.process.log_tail(20));
        Ok(())
    })
    .await;
    roles.patch("leakhound-operator", &PatchParams::default(), &restore(&role)).await.unwrap();
    refused.unwrap();

    rig.operator.ready().await.unwrap();
    rig.says(&probe, ProbeReason::Running, 30, &json!({})).await;
    let status =
        rig.until(&namespace, "cart", "it goes on", |status| status.probed_seconds == Some(30)).await;
    assert_eq!((state(&status), &status.completion_time), ("Running", &None));
    rig.finishes(&probe, ProbeReason::Completed, 60, samples::recording("open_session")).await;
    rig.until_reason(&namespace, "cart", "Completed").await;
    assert!(rig.operator.process.terminate(Duration::from_secs(20)).unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stands_by_leads_soon_after_the_lease_was_given_back() {
    let flags = ["--lease-duration=36s"];
    let Some(mut rig) = Rig::start(&flags).await else { return };
    let other = rig.start_another("operator-b", &flags).await;
    until("the other one stands by", PATIENCE, async || {
        ensure!(reqwest::get(format!("{}/readyz", other.admin)).await?.status() == 200);
        Ok(())
    })
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await; // it has seen whose the Lease is
    let mut leader = std::mem::replace(&mut rig.operator, other);
    assert!(leader.process.terminate(Duration::from_secs(20)).unwrap().success());
    let given_back = Instant::now();
    rig.operator.ready().await.unwrap();
    let waited = given_back.elapsed();
    println!("nobody led for {waited:?}");
    assert!(waited < Duration::from_secs(20), "{waited:?}");
}
