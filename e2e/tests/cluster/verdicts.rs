//! Every pod gets the right verdict, and what leaks is named.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leakhound_crds::{Finding, LeakInvestigationStatus};
use leakhound_e2e::demo::fetch;
use leakhound_e2e::leaky::Leaky;
use serde_json::json;

use crate::stage::Stage;

const LOST: [&str; 2] = ["Leak", "Suspected"];

/// Pods that are investigated in another way, by a test of their own.
pub(crate) const SPECIAL: [&str; 2] = ["oom", "pipes"];

/// Investigates one pod and compares with the truth about it.
pub(crate) async fn right(stage: &Stage, leaky: &Leaky) -> Result<()> {
    let namespace = format!("verdict-{}", leaky.name);
    stage.running(leaky, &namespace).await?;
    let mut all = json!({"target": {"podName": leaky.name, "container": leaky.container, "processes": {"policy": "All"}}});
    if leaky.name == "retention" {
        // Its bursts are dear: a sample of them is followed when all of them cost more than the budget allows.
        all["sampling"] = json!({"policy": "Adaptive"});
        all["budget"] = json!({"cpuPercent": 100});
    }
    let inquiry = stage.investigate(&namespace, leaky.name, leaky.name, all).await?;
    let status = inquiry.reaches("Completed", Duration::from_secs(900)).await?;

    let summary = status.summary.as_ref().context("it has no summary")?;
    let verdict = summary.verdict.context("it has no verdict")?.to_string();
    ensure!(
        leaky.verdicts.contains(&verdict.as_str()),
        "{verdict}, not {:?}: {:#?}",
        leaky.verdicts,
        status.findings
    );
    found(leaky, &status)?;
    if leaky.leaks.is_empty() {
        let wrong = status.findings.iter().find(|finding| finding.class == "Leak");
        ensure!(wrong.is_none(), "called a leak: {wrong:#?}");
    }
    let report = fetch(&stage.testbed, &status)?;
    ensure!(report.contains("<html"), "the report is no page: {report:.200}");
    match leaky.name {
        "seed" | "stripped" => lines_of_seed(&status),
        "sidecar" => only_the_named_container(&status),
        "fork-server" => every_worker(&status),
        _ => Ok(()),
    }
}

/// Everything that the pod is known to lose was found.
pub(crate) fn found(leaky: &Leaky, status: &LeakInvestigationStatus) -> Result<()> {
    for function in leaky.leaks {
        let found = status.findings.iter().any(|finding| lost(finding) && through(finding, function));
        ensure!(found, "{function} was not found to leak: {:#?}", status.findings);
    }
    Ok(())
}

fn lost(finding: &Finding) -> bool {
    LOST.contains(&finding.class.as_str())
}

pub(crate) fn through(finding: &Finding, function: &str) -> bool {
    finding.frames.iter().any(|frame| frame.function.contains(function))
}

/// The source says where it leaks, at 13, 20 and 30, and that it frees what it allocates at 25.
fn lines_of_seed(status: &LeakInvestigationStatus) -> Result<()> {
    let lines: BTreeSet<_> = status
        .findings
        .iter()
        .filter(|finding| lost(finding))
        .filter_map(|finding| finding.frames.iter().find(|frame| frame.file.ends_with("seed.c"))?.line)
        .collect();
    ensure!(lines == BTreeSet::from([13, 20, 30]), "lines {lines:?}, not 13, 20, 30: {:#?}", status.findings);
    Ok(())
}

fn only_the_named_container(status: &LeakInvestigationStatus) -> Result<()> {
    let foreign = status.findings.iter().find(|finding| through(finding, "replace_oldest"));
    ensure!(foreign.is_none(), "the other container was watched: {foreign:#?}");
    Ok(())
}

fn every_worker(status: &LeakInvestigationStatus) -> Result<()> {
    let watched = status.targets.first().map(|target| target.processes.len());
    ensure!(watched == Some(4), "a parent and three workers are four processes: {:?}", status.targets);
    Ok(())
}
