//! An investigation from apply to report, and what comes after.

use std::time::Duration;

use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use leakhound_crds::{
    Verdict,
    condition::{LEAK_DETECTED, PROBING, REPORT_READY, TARGETS_RESOLVED},
    probe::ProbeReason,
};
use leakhound_e2e::wait::until;
use serde_json::json;

use crate::{
    rig::{PATIENCE, Rig, condition, holds},
    samples,
};

#[tokio::test(flavor = "multi_thread")]
async fn from_apply_to_report() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let namespace = rig.server.namespace("story").await.unwrap();
    rig.node("story-a").await;
    rig.pod(&namespace, "cart-1", "story-a", &json!({})).await;
    let spec = json!({
        "target": { "podName": "cart-1" }, "duration": "1m",
        "thresholds": { "minOutstanding": "64Ki", "minGrowthPerHour": "1Mi" },
        "report": { "formats": ["HTML", "JSON", "Pprof", "Folded"] },
    });
    let investigation = rig.investigate(&namespace, "cart", &spec).await;

    let probe = rig.order(&investigation).await;
    assert_eq!((probe.spec.node_name.as_str(), probe.spec.container_name.as_str()), ("story-a", "app"));
    assert_eq!(probe.spec.profile.snapshot_interval, "5s");
    assert_eq!(probe.metadata.owner_references, None, "an owner in another namespace would get it collected");
    rig.says(
        &probe,
        ProbeReason::Running,
        10,
        &json!({ "digest": samples::digest("open_session", 655_360).to_string() }),
    )
    .await;
    let status = rig
        .until(&namespace, "cart", "partial results show", |status| {
            holds(status, PROBING) && status.summary.as_ref().is_some_and(|summary| summary.growth.is_some())
        })
        .await;
    let summary = status.summary.unwrap();
    assert_eq!(
        (summary.growth.as_deref(), summary.top_frame.as_deref()),
        (Some("+225Mi/h"), Some("open_session"))
    );
    assert_eq!(
        condition(&rig.until_reason(&namespace, "cart", "Running").await, TARGETS_RESOLVED).reason,
        "Resolved"
    );

    rig.finishes(&probe, ProbeReason::Completed, 60, samples::recording("open_session")).await;
    let status = rig.until_reason(&namespace, "cart", "Completed").await;
    assert!(holds(&status, REPORT_READY) && holds(&status, LEAK_DETECTED), "{status:#?}");
    let summary = status.summary.clone().unwrap();
    assert_eq!((summary.verdict, summary.targets.as_deref()), (Some(Verdict::LeakLikely), Some("1/1")));
    assert_eq!((summary.growth.as_deref(), status.probed_seconds), (Some("+225Mi/h"), Some(60)));
    let names: Vec<_> = status.findings.iter().map(|finding| finding.frames[0].function.as_str()).collect();
    assert_eq!(names, ["open_session"], "and not the cache");
    assert_eq!(
        (status.findings[0].pod_name.as_deref(), status.findings[0].frames[0].line),
        (Some("cart-1"), Some(13))
    );

    for report in &status.reports {
        let url = report.url.clone().unwrap();
        let answer = reqwest::get(&url).await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert!(
            answer.headers()["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'")
        );
        let body = answer.bytes().await.unwrap();
        assert_eq!(i64::try_from(body.len()).unwrap(), report.size_bytes.unwrap());
        assert_eq!(Some(crate::actors::sha256(&body)), report.sha256);
        match report.format.as_str() {
            "HTML" => assert!(body.starts_with(b"<!doctype html>") || body.starts_with(b"<!DOCTYPE html>")),
            "Folded" => assert!(String::from_utf8_lossy(&body).contains("main;open_session")),
            "JSON" => assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok()),
            _ => assert_eq!(&body[..2], [0x1f, 0x8b]),
        }
    }
    assert_eq!(status.reports.len(), 4);
    let story =
        ["TargetsResolved", "ProbesAttached", "ProbesDetached", "LeakFound", "ReportStored", "Completed"];
    let told = rig.until_told(&investigation, &story).await;
    for reason in story {
        assert_eq!(told.iter().filter(|told| *told == reason).count(), 1, "{reason} in {told:?}");
    }
    let wait = ["-n", &namespace, "wait", "--for=condition=Succeeded", "--timeout=60s", "leak/cart"];
    rig.server.kubectl(&wait).unwrap().success().unwrap();
    let table =
        rig.server.kubectl(&["-n", &namespace, "get", "leak", "-o", "wide"]).unwrap().success().unwrap();
    println!("{table}");
    let row = table.lines().last().unwrap();
    for column in ["cart-1", "Heap", "Completed", "LeakLikely", "+225Mi/h", "open_session", "/r/"] {
        assert!(row.contains(column), "{column} in {row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_once_it_is_over_and_the_time_to_live_ends_it() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let (namespace, investigation) = rig.asked("ttl", &json!({})).await;
    let probe = rig.order(&investigation).await;
    rig.finishes(&probe, ProbeReason::Completed, 60, samples::recording("open_session")).await;
    let status = rig.until_reason(&namespace, "cart", "Completed").await;
    let url = status.reports[0].url.clone().unwrap();
    assert_eq!(status.reports[0].expiration_time, None);
    // a write is counted once it is answered, and its events follow
    rig.until_told(&investigation, &["Completed"]).await;

    let version = rig.investigations(&namespace).get("cart").await.unwrap().resource_version();
    let later = json!({ "metadata": { "annotations": { "note": "a change that means nothing" } } });
    let api = rig.investigations(&namespace);
    let noted = api.patch("cart", &PatchParams::default(), &Patch::Merge(&later)).await.unwrap();
    assert_ne!(noted.resource_version(), version);
    let written = rig.operator.metric("leakhound_operator_status_writes_total").await.unwrap();

    let ttl = json!({ "spec": { "ttlSecondsAfterFinished": 3600 } });
    api.patch("cart", &PatchParams::default(), &Patch::Merge(&ttl)).await.unwrap();
    rig.until(&namespace, "cart", "the new generation was seen", |status| {
        status.observed_generation == Some(2)
    })
    .await;
    let once_more = rig.operator.metric("leakhound_operator_status_writes_total").await.unwrap();
    assert!(once_more <= written + 1.0, "{written} {once_more}");

    let ttl = json!({ "spec": { "ttlSecondsAfterFinished": 1 } });
    api.patch("cart", &PatchParams::default(), &Patch::Merge(&ttl)).await.unwrap();
    until("the investigation is gone", PATIENCE, async || {
        anyhow::ensure!(api.get_opt("cart").await?.is_none());
        Ok(())
    })
    .await
    .unwrap();
    rig.until_no_probes(&investigation.uid().unwrap()).await;
    until("the report is gone", PATIENCE, async || {
        anyhow::ensure!(reqwest::get(&url).await?.status() == 404);
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_while_running_takes_the_probe_off_and_leaves_nothing() {
    let Some(rig) = Rig::start(&[]).await else { return };
    let namespace = rig.server.namespace("deleted").await.unwrap();
    rig.node("deleted-a").await;
    rig.pod(&namespace, "cart-1", "deleted-a", &json!({})).await;
    let spec = json!({ "target": { "podName": "cart-1" } });
    let first = rig.investigate(&namespace, "cart", &spec).await;
    let probe = rig.order(&first).await;
    rig.says(&probe, ProbeReason::Running, 10, &json!({})).await;
    rig.until_reason(&namespace, "cart", "Running").await;
    let since = std::time::Instant::now();
    rig.investigations(&namespace).delete("cart", &DeleteParams::default()).await.unwrap();
    rig.until_no_probes(&first.uid().unwrap()).await;
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
    // One of the same name is another one: it inherits nothing.
    let second = rig.investigate(&namespace, "cart", &spec).await;
    let other = rig.order(&second).await;
    assert_ne!(other.name_any(), probe.name_any());
    let status = rig.until_reason(&namespace, "cart", "Pending").await;
    assert_eq!((status.summary.and_then(|summary| summary.verdict), status.start_time), (None, None));
}
