//! What becomes of an investigation: queue, suspension, an early end, targets that go away.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leakhound_crds::LeakInvestigationStatus;
use leakhound_e2e::command::run;
use leakhound_e2e::demo::{fetch, fetch_as};
use leakhound_e2e::inquiry::summary;
use leakhound_e2e::leaky::Leaky;
use leakhound_e2e::wait::until;
use serde_json::{Value, json};

use crate::stage::{SOON, Stage};
use crate::verdicts;

const END: Duration = Duration::from_secs(900);

pub(crate) async fn queued_behind_another_on_the_same_container(stage: &Stage) -> Result<()> {
    stage.running(Leaky::named("seed")?, "queue").await?;
    let first = stage.investigate("queue", "first", "seed", json!({})).await?;
    first.reaches("Running", SOON).await?;
    let second = stage.investigate("queue", "second", "seed", json!({})).await?;
    let status = second.reaches("Queued", SOON).await?;
    ensure!(status.probed_seconds.unwrap_or(0) == 0, "it was probed although it is queued: {status:#?}");
    first.reaches("Completed", END).await?;
    second.reaches("Completed", END).await?;
    Ok(())
}

pub(crate) async fn suspended_and_resumed(stage: &Stage) -> Result<()> {
    stage.running(Leaky::named("seed")?, "suspend").await?;
    let inquiry = stage.investigate("suspend", "seed", "seed", json!({})).await?;
    inquiry.reaches("Running", SOON).await?;
    inquiry.change(json!({"suspend": true})).await?;
    inquiry.reaches("Suspended", SOON).await?;
    inquiry.change(json!({"suspend": false})).await?;
    inquiry.reaches("Running", SOON).await?;
    let status = inquiry.reaches("Completed", END).await?;
    let probed = status.probed_seconds.context("it does not say how long it probed")?;
    ensure!(
        (55..=65).contains(&probed),
        "the clock stands still while suspended, and probing took {probed} s of 60"
    );
    Ok(())
}

pub(crate) async fn stopped_early_with_a_report(stage: &Stage) -> Result<()> {
    stage.running(Leaky::named("seed")?, "stop").await?;
    let inquiry = stage.investigate("stop", "seed", "seed", json!({"duration": "1h"})).await?;
    until("three snapshots have been taken", SOON, async || {
        let probed = inquiry.status().await?.probed_seconds.unwrap_or(0);
        ensure!(probed >= 15, "{probed} s so far");
        Ok(())
    })
    .await?;
    inquiry.change(json!({"stop": true})).await?;
    let status = inquiry.reaches("StoppedEarly", SOON).await?;
    ensure!(fetch(&stage.testbed, &status)?.contains("<html"), "it has no report");
    Ok(())
}

pub(crate) async fn deleted_with_its_report_when_its_time_is_over(stage: &Stage) -> Result<()> {
    stage.running(Leaky::named("seed")?, "ttl").await?;
    let short = json!({"duration": "15s", "ttlSecondsAfterFinished": 20});
    let inquiry = stage.investigate("ttl", "seed", "seed", short).await?;
    let status = inquiry.reaches("Completed", END).await?;
    fetch(&stage.testbed, &status).context("its report is there at first")?;
    until("it is gone", SOON, async || {
        ensure!(!inquiry.exists().await?, "it is still there");
        Ok(())
    })
    .await?;
    until("its report is gone", Duration::from_secs(60), async || {
        ensure!(fetch(&stage.testbed, &status).is_err(), "the report can still be read");
        Ok(())
    })
    .await
}

/// The report as JSON, in which what this function allocated is live; it is a finding of the status as well.
fn kept(stage: &Stage, status: &LeakInvestigationStatus, function: &str) -> Result<Value> {
    let report: Value = serde_json::from_str(&fetch_as(&stage.testbed, status, "JSON")?)?;
    let through = |finding: &Value| {
        let frames = finding["frames"].as_array().into_iter().flatten();
        frames.filter_map(|frame| frame["function"].as_str()).any(|name| name == function)
    };
    let live = |finding: &Value| finding["liveBytes"].as_u64().unwrap_or(0) > 100_000;
    let findings = report["findings"].as_array().context("the report has no findings")?;
    let kept = findings.iter().any(|finding| through(finding) && live(finding));
    ensure!(kept, "what was seen until then is lost: {findings:#?}");
    let told = status.findings.iter().any(|finding| verdicts::through(finding, function));
    ensure!(told, "the status does not tell of {function}: {:#?}", status.findings);
    Ok(report)
}

pub(crate) async fn target_deleted_meanwhile(stage: &Stage) -> Result<()> {
    stage.running(Leaky::named("seed")?, "gone").await?;
    let wishes = json!({"duration": "10m", "report": {"formats": ["HTML", "JSON"]}});
    let inquiry = stage.investigate("gone", "seed", "seed", wishes).await?;
    until("it has been probed for a while", SOON, async || {
        let probed = inquiry.status().await?.probed_seconds.unwrap_or(0);
        ensure!(probed >= 20, "{probed} s so far");
        Ok(())
    })
    .await?;
    run(&mut stage.testbed.kubectl(&["delete", "pod", "seed", "--namespace", "gone", "--wait=false"]))?;
    let status = inquiry.ends(SOON).await?;
    let end = summary(&status)?;
    ensure!(["TargetGone", "Completed"].contains(&end.reason.as_str()), "{}: {}", end.reason, end.message);
    kept(stage, &status, "open_session")?;
    Ok(())
}

pub(crate) async fn killed_for_want_of_memory(stage: &Stage) -> Result<()> {
    stage.running(Leaky::named("oom")?, "oom").await?;
    let finish =
        json!({"duration": "10m", "onContainerRestart": "Finish", "report": {"formats": ["HTML", "JSON"]}});
    let inquiry = stage.investigate("oom", "oom", "oom", finish).await?;
    let status = inquiry.ends(END).await?;
    let target = status.targets.first().context("it has no target")?;
    let memory = target.memory.as_ref().context("it says nothing about memory")?;
    ensure!(memory.oom_kills == Some(1), "one kill is the evidence: {target:#?}");
    let end = summary(&status)?;
    ensure!(
        end.reason == "TargetGone" && end.message.contains("(OOMKilled)"),
        "{}: {}",
        end.reason,
        end.message
    );
    until("an event tells of it", Duration::from_secs(60), async || {
        let events = stage.events("oom").await?;
        ensure!(events.iter().any(|event| event == "OOMKilled"), "{events:?}");
        Ok(())
    })
    .await?;
    let report = kept(stage, &status, "remember")?;
    let reasons = report["verdict"]["reasons"].to_string();
    ensure!(reasons.contains("killed a process of the target for lack of memory"), "the report: {reasons}");
    ensure!(memory.limit_bytes == Some(192 << 20), "{memory:?}");
    Ok(())
}

pub(crate) async fn a_pod_with_two_containers_needs_a_name(stage: &Stage) -> Result<()> {
    stage.running(Leaky::named("sidecar")?, "unnamed").await?;
    let unnamed = json!({"target": {"podName": "sidecar"}});
    let inquiry = stage.investigate("unnamed", "unnamed", "sidecar", unnamed).await?;
    let status = inquiry.reaches("ContainerNotNamed", SOON).await?;
    let message = summary(&status)?.message;
    ensure!(message.contains("app") && message.contains("sidecar"), "it does not list them: {message}");
    Ok(())
}
