//! Leakhound's own parts die while an investigation runs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leakhound_e2e::command::run;
use leakhound_e2e::demo::fetch;
use leakhound_e2e::inquiry::{Inquiry, summary};
use leakhound_e2e::installation::NAMESPACE;
use leakhound_e2e::leaky::Leaky;
use leakhound_e2e::wait::until;
use serde_json::json;

use crate::stage::{SOON, Stage};

const END: Duration = Duration::from_secs(600);

async fn probed_for_a_while(stage: &Stage, namespace: &str) -> Result<Inquiry> {
    stage.running(Leaky::named("seed")?, namespace).await?;
    let inquiry = stage.investigate(namespace, "seed", "seed", json!({"duration": "50s"})).await?;
    until("it has been probed for a while", SOON, async || {
        let probed = inquiry.status().await?.probed_seconds.unwrap_or(0);
        ensure!(probed >= 15, "{probed} s so far");
        Ok(())
    })
    .await?;
    Ok(inquiry)
}

/// As a machine without memory would do it: at once, and with nothing said.
async fn kill(stage: &Stage, component: &str) -> Result<()> {
    let pod = stage.own_pod(component).await?.metadata.name.context("the pod has no name")?;
    run(&mut stage.testbed.kubectl(&[
        "delete",
        "pod",
        &pod,
        "--namespace",
        NAMESPACE,
        "--grace-period=0",
        "--force",
    ]))
}

pub(crate) async fn agent_killed_while_probing(stage: &Stage) -> Result<()> {
    let inquiry = probed_for_a_while(stage, "agent-killed").await?;
    kill(stage, "agent").await?;
    let status = inquiry.reaches("Completed", END).await?;
    let target = status.targets.first().context("it has no target")?;
    ensure!(target.epochs == 2, "the gap between two agents is not told: {target:#?}");
    ensure!(target.coverage_percent == Some(100), "the next agent did not take it up: {target:#?}");
    let end = summary(&status)?;
    ensure!(end.message.contains("in 2 stretches"), "{}", end.message);
    let verdict = status.summary.context("it has no summary")?.verdict.context("it has no verdict")?;
    ensure!(!status.findings.is_empty(), "{verdict}, and nothing was found");
    Ok(())
}

pub(crate) async fn operator_killed_while_probing(stage: &Stage) -> Result<()> {
    let inquiry = probed_for_a_while(stage, "operator-killed").await?;
    kill(stage, "operator").await?;
    let status = inquiry.reaches("Completed", END).await?;
    let target = status.targets.first().context("it has no target")?;
    ensure!(target.epochs == 1, "the probes went on without the operator: {target:#?}");
    ensure!(fetch(&stage.testbed, &status)?.contains("<html"), "it has no report");
    Ok(())
}
