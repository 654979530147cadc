//! Install, watch, upgrade, uninstall.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leakhound_e2e::binary::binary;
use leakhound_e2e::command::{output, run};
use leakhound_e2e::installation::{self, NAMESPACE};
use leakhound_e2e::leaky::Leaky;
use leakhound_e2e::product;
use leakhound_e2e::tools::{target_dir, workspace};
use leakhound_e2e::wait::until;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::stage::{SOON, Stage};

/// Long enough for a finding.
fn brief() -> Value {
    json!({"duration": "25s"})
}

/// Names of metrics in alerts and dashboard, against what operator and agent say about themselves.
pub(crate) async fn every_metric_that_is_watched_exists(stage: &Stage) -> Result<()> {
    let files = workspace().join("charts/leakhound/files");
    let watched = ["alerts.yaml", "dashboard.json"].map(|name| fs::read_to_string(files.join(name)));
    let watched = watched.into_iter().collect::<std::io::Result<String>>()?;
    let mut names = BTreeSet::new();
    for word in watched.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_')) {
        if word.starts_with("leakhound_operator_") || word.starts_with("leakhound_agent_") {
            let family = ["_total", "_bucket"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            names.insert(family.to_owned());
        }
    }
    ensure!(names.len() > 10, "only {names:?} were found in {}", files.display());
    let agent = stage.own_pod("agent").await?.metadata.name.context("the pod has no name")?;
    // Some appear when they count for the first time: the other tests see to that.
    until("every metric has been told", Duration::from_secs(900), async || {
        let told = stage.raw("services/leakhound-operator:9464/proxy/metrics")?
            + &stage.raw(&format!("pods/{agent}:9465/proxy/metrics"))?;
        let missing: Vec<_> =
            names.iter().filter(|name| !told.contains(&format!("# TYPE {name} "))).collect();
        ensure!(missing.is_empty(), "{missing:?} are watched and do not exist in\n{told}");
        Ok(())
    })
    .await
}

/// A pod that investigates itself, from apply to verdict, with a user's rights.
pub(crate) async fn helm_test_passes(stage: &Stage) -> Result<()> {
    stage.testbed.load(&product::command_line()?)?;
    let test = ["test", installation::RELEASE, "--namespace", NAMESPACE, "--timeout", "4m"];
    let told = output(&mut stage.testbed.helm(&test))?;
    ensure!(told.contains("Succeeded"), "{told}");
    Ok(())
}

/// `kubectl leak`, found by kubectl itself, against the operator's own pod: it forwards a port through API server and kubelet.
pub(crate) async fn the_plugin_reads_a_report(stage: &Stage) -> Result<()> {
    let folder = target_dir().join("e2e/plugin");
    fs::create_dir_all(&folder)?;
    let plugin = folder.join("kubectl-leak");
    if plugin.is_symlink() {
        fs::remove_file(&plugin)?;
    }
    std::os::unix::fs::symlink(binary("leakhound")?, &plugin)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(folder.clone()).chain(std::env::split_paths(&path)))?;
    let leak = |words: &[&str]| -> Result<String> {
        let words: Vec<_> = ["leak", "--namespace", "plugin"].iter().chain(words).copied().collect();
        output(stage.testbed.kubectl(&words).env("PATH", &path))
    };
    stage.running(Leaky::named("seed")?, "plugin").await?;
    let inquiry = stage.investigate("plugin", "seed", "seed", brief()).await?;
    let status = inquiry.reaches("Completed", Duration::from_secs(900)).await?;
    let shown = leak(&["show", "seed"])?;
    ensure!(shown.contains("open_session") && shown.contains("seed.c:13"), "{shown}");
    let report = leak(&["report", "seed", "--output", "-"])?;
    // The API server's own proxy would rewrite links in the page; a forwarded port gives what was stored.
    let hash = format!("{:x}", Sha256::digest(&report));
    ensure!(status.reports[0].sha256.as_ref() == Some(&hash), "another report: {report:.300}");
    let nodes = leak(&["doctor"])?;
    ensure!(nodes.contains("node1") || nodes.contains("leakhound-control-plane"), "{nodes}");
    Ok(())
}

/// Strictly: an unknown field is an error, in every object that some value makes the chart render.
pub(crate) async fn the_api_server_takes_all_that_the_chart_can_render(stage: &Stage) -> Result<()> {
    stage.namespace("rendered").await?;
    for values in [
        "agent.capabilities.preset=compat,agent.appArmorProfile=RuntimeDefault",
        "agent.capabilities.preset=privileged",
        "store.persistence.enabled=true,agent.spoolHostPath=/var/spool/leakhound,agent.seLinuxOptions.type=spc_t",
        "store.url=s3://leaks/prod,store.credentialsSecret=s3,operator.replicas=2,reports.service.type=LoadBalancer",
        "metrics.dashboard.enabled=true,networkPolicy.metricsFrom=null,image.pullSecrets[0].name=key",
    ] {
        // In a namespace of its own, where nothing is there to be merged with.
        let mut helm =
            stage.testbed.helm(&["template", "leakhound", "--namespace", "rendered", "--skip-tests"]);
        helm.args(["--kube-version", "1.36.0", "--set", values]).arg(workspace().join("charts/leakhound"));
        let file = target_dir().join("e2e/rendered.yaml");
        fs::write(&file, output(&mut helm)?)?;
        let dry = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "--filename",
        ];
        run(stage.testbed.kubectl(&dry).arg(&file)).with_context(|| format!("with {values}"))?;
    }
    Ok(())
}

/// A chart whose definition lacks a field that the operator writes, as the one before the field was added.
fn older_chart() -> Result<PathBuf> {
    let older = target_dir().join("e2e/older-chart");
    if older.exists() {
        fs::remove_dir_all(&older)?;
    }
    run(Command::new("cp").arg("-r").arg(workspace().join("charts/leakhound")).arg(&older))?;
    let file = older.join("files/crds/leakinvestigations.yaml");
    let mut definition: Value = serde_yaml_ng::from_str(&fs::read_to_string(&file)?)?;
    let removed = field(&mut definition)?.remove("topFrame");
    ensure!(removed.is_some(), "the definition has no field topFrame any more: remove another one here");
    fs::write(&file, serde_yaml_ng::to_string(&definition)?)?;
    Ok(older)
}

fn field(definition: &mut Value) -> Result<&mut serde_json::Map<String, Value>> {
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/summary/properties";
    definition.pointer_mut(path).and_then(Value::as_object_mut).context("the definition has no summary")
}

fn knows_the_field(stage: &Stage) -> Result<bool> {
    let get = ["get", "crd", "leakinvestigations.leakhound.dev", "--output=json"];
    let mut definition: Value = serde_json::from_str(&output(&mut stage.testbed.kubectl(&get))?)?;
    Ok(field(&mut definition)?.contains_key("topFrame"))
}

pub(crate) async fn upgraded_from_definitions_that_lack_a_field(stage: &Stage) -> Result<()> {
    stage.upgrade_to(&older_chart()?)?;
    ensure!(!knows_the_field(stage)?, "the older chart did not take the field away");
    stage.reinstall().await?;
    ensure!(knows_the_field(stage)?, "the upgrade did not bring the field");
    stage.running(Leaky::named("seed")?, "upgraded").await?;
    let inquiry = stage.investigate("upgraded", "seed", "seed", brief()).await?;
    let status = inquiry.reaches("Completed", Duration::from_secs(900)).await?;
    ensure!(
        status.summary.is_some_and(|summary| summary.top_frame.is_some()),
        "the new field is not written"
    );
    Ok(())
}

/// Numbers of the links that agents on clusters of ours hold: each is one or more probes in the kernel.
fn held_links() -> Result<BTreeSet<u64>> {
    let mut held = BTreeSet::new();
    for process in fs::read_dir("/proc")?.flatten().map(|entry| entry.path()) {
        let read = |file: &str| fs::read_to_string(process.join(file)).unwrap_or_default(); // ended meanwhile
        if read("comm").trim() != "leakhound-agent" || !read("cgroup").contains("kubepods") {
            continue;
        }
        for file in fs::read_dir(process.join("fdinfo")).into_iter().flatten().flatten() {
            let info = fs::read_to_string(file.path()).unwrap_or_default(); // closed meanwhile
            let number = info.lines().find_map(|line| line.strip_prefix("link_id:"));
            held.extend(number.and_then(|number| number.trim().parse::<u64>().ok()));
        }
    }
    Ok(held)
}

/// Those of them that the kernel still has.
fn alive(links: &BTreeSet<u64>) -> Result<Vec<u64>> {
    let all: Vec<Value> =
        serde_json::from_str(&output(Command::new("bpftool").args(["--json", "link", "show"]))?)?;
    Ok(all.iter().filter_map(|link| link["id"].as_u64()).filter(|id| links.contains(id)).collect())
}

pub(crate) async fn uninstalled_while_probing(stage: &Stage) -> Result<()> {
    stage.running(Leaky::named("seed")?, "uninstall").await?;
    let inquiry = stage.investigate("uninstall", "seed", "seed", json!({"duration": "1h"})).await?;
    let links = until("the probes are on", SOON, async || {
        inquiry.reaches("Running", Duration::from_secs(1)).await?;
        let links = held_links()?;
        ensure!(alive(&links)?.len() > 2, "the kernel knows only {:?}", alive(&links)?);
        Ok(links)
    })
    .await?;
    installation::uninstall(&stage.testbed)?;
    until("the kernel has no probe of ours", SOON, async || {
        let left = alive(&links)?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    // The release's last errand was to end it, while somebody was there to write its report.
    let status = inquiry.reaches("StoppedEarly", Duration::from_secs(1)).await?;
    ensure!(!status.reports.is_empty(), "it has no report: {status:#?}");
    // Nothing holds it back: no finalizer waits for somebody who has gone.
    inquiry.delete().await?;
    ensure!(!inquiry.exists().await?, "it cannot be deleted");
    let pod = output(&mut stage.testbed.kubectl(&[
        "get",
        "pod",
        "seed",
        "--namespace",
        "uninstall",
        "--output=json",
    ]))?;
    let pod: Value = serde_json::from_str(&pod)?;
    ensure!(pod["status"]["containerStatuses"][0]["restartCount"] == 0, "the target was touched: {pod}");
    Ok(())
}
