//! Recordings that come after the end of their investigation.

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use leakhound_crds::{LeakProbe, condition::REPORT_READY, probe::ProbeReason};
use leakhound_e2e::wait::until;
use serde_json::json;

use crate::{
    rig::{PATIENCE, Rig, condition, holds},
    samples,
};

impl Rig {
    /// The agent has finished, and its upload got this far.
    async fn finishes_without_upload(&self, probe: &LeakProbe, reason: &str) {
        let now = Timestamp::now();
        let conditions = json!([
            { "type": "Succeeded", "status": "True", "reason": "Completed", "message": "", "lastTransitionTime": now },
            { "type": "RecordingUploaded", "status": "False", "reason": reason, "message": "no way",
              "lastTransitionTime": now },
        ]);
        let digest = samples::digest("open_session", 2 << 20).to_string();
        let more = json!({ "digest": digest, "conditions": conditions });
        self.says(probe, ProbeReason::Completed, 60, &more).await;
    }

    async fn uploads(&self, probe: &LeakProbe) {
        let token = self.upload_token(&probe.spec.node_name).await;
        let recording = samples::recording("open_session");
        assert_eq!(self.upload(&probe.uid().unwrap(), &token, recording).await.0, 201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_upload_the_digest_stands_and_late_ones_complete_it() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let namespace = rig.server.namespace("late").await.unwrap();
    rig.node("late-a").await;
    for name in ["cart-1", "cart-2"] {
        rig.pod(&namespace, name, "late-a", &json!({ "metadata": { "labels": { "app": "cart" } } })).await;
    }
    let target = json!({ "selector": { "matchLabels": { "app": "cart" } }, "maxTargets": 2 });
    let spec = json!({ "target": target, "duration": "1m" });
    let investigation = rig.investigate(&namespace, "cart", &spec).await;
    let uid = investigation.uid().unwrap();
    let probes = until("both probes are ordered", PATIENCE, async || {
        let probes = rig.probes_of(&uid).await?;
        anyhow::ensure!(probes.len() == 2, "{}", probes.len());
        Ok(probes)
    })
    .await
    .unwrap();
    for probe in &probes {
        rig.finishes_without_upload(probe, "GaveUp").await;
    }
    let status = rig.until_reason(&namespace, "cart", "Completed").await;
    let ready = condition(&status, REPORT_READY);
    assert_eq!(ready.reason, "SummaryOnly");
    assert!(ready.message.contains("cart-1") && ready.message.contains("cart-2"), "{}", ready.message);
    assert_eq!(status.findings[0].frames[0].function, "open_session");
    let completion = status.completion_time.clone();

    rig.uploads(&probes[0]).await;
    let one = rig.until(&namespace, "cart", "there is a report", |status| holds(status, REPORT_READY)).await;
    let ready = condition(&one, REPORT_READY);
    assert!(ready.message.ends_with("did not arrive"), "{}", ready.message);
    rig.uploads(&probes[1]).await;
    let both = rig
        .until(&namespace, "cart", "nothing is missing", |status| {
            !condition(status, REPORT_READY).message.contains("did not arrive")
        })
        .await;
    assert_eq!((&both.completion_time, &one.completion_time), (&completion, &completion));
    let page = reqwest::get(both.reports[0].url.clone().unwrap()).await.unwrap().text().await.unwrap();
    assert!(page.contains("cart-1") && page.contains("cart-2"), "both stand in the report");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_tried_again_is_waited_for() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let (namespace, investigation) = rig.asked("again", &json!({})).await;
    let probe = rig.order(&investigation).await;
    rig.finishes_without_upload(&probe, "Retrying").await;
    let words = "the recordings are being collected";
    rig.until(&namespace, "cart", "it waits", |status| {
        condition(status, "Succeeded").message.contains(words)
    })
    .await;
    rig.uploads(&probe).await;
    let status = rig.until_reason(&namespace, "cart", "Completed").await;
    assert!(holds(&status, REPORT_READY), "the report was there when it ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_started_keeps_nobody_from_the_report() {
    let Some(rig) = Rig::start(&["--cluster-slots=1"]).await else { return };
    let namespace = rig.server.namespace("never").await.unwrap();
    rig.node("never-a").await;
    for name in ["cart-1", "cart-2"] {
        rig.pod(&namespace, name, "never-a", &json!({ "metadata": { "labels": { "app": "cart" } } })).await;
    }
    let target = json!({ "selector": { "matchLabels": { "app": "cart" } }, "maxTargets": 2 });
    let spec = json!({ "target": target, "duration": "1m", "startingDeadlineSeconds": 10 });
    let investigation = rig.investigate(&namespace, "cart", &spec).await;
    let probe = rig.order(&investigation).await;
    rig.says(&probe, ProbeReason::Running, 20, &json!({})).await;
    rig.until(&namespace, "cart", "one has waited too long", |status| {
        status.targets.iter().any(|target| target.reason.as_deref() == Some("DeadlineExceeded"))
    })
    .await;
    rig.finishes(&probe, ProbeReason::Completed, 60, samples::recording("open_session")).await;
    let status = rig.until_reason(&namespace, "cart", "Completed").await;
    assert!(holds(&status, REPORT_READY), "{status:#?}");
}
