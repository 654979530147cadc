//! From nothing to a verdict on a cluster, as a person would do it, with what they would see.
#![allow(clippy::print_stdout, reason = "this is for a terminal")]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use leakhound_crds::condition::{self, LEAK_DETECTED};
use leakhound_crds::{Finding, LeakInvestigationStatus};
use serde_json::json;

use crate::command::output;
use crate::examples::Examples;
use crate::inquiry::Inquiry;
use crate::installation::{self, NAMESPACE};
use crate::leaky::{self, Leaky};
use crate::testbed::{Provider, Testbed};
use crate::tools::workspace;

const NAME: &str = "seed";
const WATCHED: &str = "default";

/// Brings the cluster up, installs Leakhound, starts a pod that leaks, investigates it, shows what was found, and writes the report.
///
/// # Errors
/// When a step fails; the cluster stays up to be looked at.
pub async fn run(provider: Provider, dir: &Path, report: &Path) -> Result<()> {
    let begin = Instant::now();
    let step = |what: &str| println!("{:>4} s  {what}", begin.elapsed().as_secs());
    step("bringing up a cluster");
    let testbed = Testbed::up(provider, dir).await?;
    step("building Leakhound and loading its images");
    installation::load_images(&testbed)?;
    step("installing it with Helm");
    installation::install(&testbed, &[]).await?;
    step("starting a pod that leaks: examples/seed.c");
    let seed = Leaky::named(NAME)?;
    testbed.load(&seed.image(&Examples::build()?)?)?;
    leaky::start(&testbed, seed, WATCHED)?;
    output(&mut testbed.kubectl(&["wait", "--for=condition=Ready", "pod/seed", "--timeout=60s"]))?;
    step("asking which of its call stacks leak");
    let inquiry = investigate(&testbed).await?;
    inquiry.ends(Duration::from_secs(180)).await?;
    let status = inquiry.reaches("Completed", Duration::from_secs(1)).await?;
    step("done\n");

    print!("{}", output(&mut testbed.kubectl(&["get", "leakinvestigations"]))?);
    let found =
        condition::find(&status.conditions, LEAK_DETECTED).context("it does not say whether it leaks")?;
    println!("\n{}", found.message);
    println!("\n{:>3}  {:>10}  {:>11}  {:<10} WHERE", "#", "LIVE", "GROWTH", "CLASS");
    status.findings.iter().for_each(|finding| println!("{}", line(finding)));
    std::fs::write(report, fetch(&testbed, &status)?)?;
    println!("\nThe whole report: open {} in a browser.", report.display());
    println!("\nThe cluster goes on. To look around, or to investigate something else:");
    println!("  export KUBECONFIG={}", testbed.kubeconfig().display());
    println!("  {} describe leakinvestigation {NAME}", testbed.kubectl(&[]).get_program().display());
    println!("  make cluster-down    ends it, and removes everything it left");
    Ok(())
}

/// A run that is short enough to watch: blocks count from the age of ten seconds on.
async fn investigate(testbed: &Testbed) -> Result<Inquiry> {
    let client = testbed.client().await?;
    let earlier = Inquiry::named(client.clone(), WATCHED, NAME);
    if earlier.exists().await? {
        earlier.delete().await?;
    }
    let spec = json!({
        "target": {"podName": NAME},
        "duration": "1m",
        "snapshotInterval": "5s",
        "sampling": {"policy": "All"},
        "thresholds": {"minAge": "10s", "minOutstanding": "16Ki", "minGrowthPerHour": "1Mi"},
    });
    Inquiry::begin(client, WATCHED, NAME, spec).await
}

/// A finding as one line: what it holds, how it grows, and where it was allocated.
fn line(finding: &Finding) -> String {
    let place = finding.frames.iter().find(|frame| !frame.file.is_empty()).or_else(|| finding.frames.first());
    let place = place.map_or_else(
        || "no stack".to_owned(),
        |frame| match frame.line {
            Some(line) => {
                let file = Path::new(&frame.file);
                let file = file.strip_prefix(workspace()).unwrap_or(file);
                format!("{}  {}:{line}", frame.function, file.display())
            }
            None => frame.function.clone(),
        },
    );
    let (kib, hourly) = (finding.outstanding_bytes / 1024, finding.growth_bytes_per_hour / (1024 * 1024));
    format!("{:>3}  {kib:>6} KiB  {hourly:>+5} MiB/h  {:<10} {place}", finding.rank, finding.class)
}

/// The report's page, through the API server as `kubectl port-forward` would go.
///
/// # Errors
/// When there is no report, or it cannot be read.
pub fn fetch(testbed: &Testbed, status: &LeakInvestigationStatus) -> Result<String> {
    fetch_as(testbed, status, "HTML")
}

/// The report in one of the formats that were asked for.
///
/// # Errors
/// When there is no such report, or it cannot be read.
pub fn fetch_as(testbed: &Testbed, status: &LeakInvestigationStatus, format: &str) -> Result<String> {
    let report = status.reports.iter().find(|report| report.format == format);
    let url = report.and_then(|report| report.url.as_deref());
    let url = url.with_context(|| format!("there is no report as {format}"))?;
    let path = url
        .split_once("/r/")
        .map(|(_, path)| path)
        .with_context(|| format!("{url} is no link of a report"))?;
    let proxy = format!("/api/v1/namespaces/{NAMESPACE}/services/leakhound-operator:8080/proxy/r/{path}");
    output(&mut testbed.kubectl(&["get", "--raw", &proxy]))
}
