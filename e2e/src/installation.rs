//! Leakhound on a testbed: images, namespace, chart.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::command::run;
use crate::product;
use crate::testbed::Testbed;
use crate::tools::workspace;

/// Leakhound's own namespace.
pub const NAMESPACE: &str = "leakhound-system";
/// The release's name.
pub const RELEASE: &str = "leakhound";

/// Loads Leakhound's images into the node, as they are built from the sources now.
///
/// # Errors
/// When a program does not build.
pub fn load_images(testbed: &Testbed) -> Result<()> {
    testbed.load(&product::operator()?)?;
    testbed.load(&product::agent()?)
}

/// Installs the chart, or upgrades to it, and waits until the operator and every agent are ready. `values` are what `--set` takes.
///
/// # Errors
/// When Helm fails or something does not become ready.
pub async fn install(testbed: &Testbed, values: &[&str]) -> Result<()> {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "privileged"}},
    });
    let namespaces = Api::<Namespace>::all(testbed.client().await?);
    namespaces
        .patch(NAMESPACE, &PatchParams::apply("leakhound-e2e").force(), &Patch::Apply(&namespace))
        .await?;
    run(&mut upgrade_to(testbed, &workspace().join("charts/leakhound"), values))
        .context("the chart does not install")
}

/// `helm upgrade --install` of a chart, with the images of the sources.
pub fn upgrade_to(testbed: &Testbed, chart: &Path, values: &[&str]) -> Command {
    let mut helm = testbed.helm(&[
        "upgrade",
        "--install",
        RELEASE,
        "--namespace",
        NAMESPACE,
        "--wait",
        "--timeout",
        "3m",
    ]);
    helm.arg(chart);
    for value in product::VALUES.iter().chain(values) {
        helm.args(["--set", value]);
    }
    helm
}

/// Uninstalls the release; the definitions and the investigations stay, as the chart says.
///
/// # Errors
/// When Helm fails.
pub fn uninstall(testbed: &Testbed) -> Result<()> {
    run(&mut testbed.helm(&["uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", "3m"]))
}
