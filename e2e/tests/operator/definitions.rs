//! An operator that is newer than the definitions in its cluster, as after an upgrade that left them out.

use anyhow::ensure;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::SignedDuration;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use leakhound_crds::probe::ProbeReason;
use leakhound_e2e::wait::until;
use serde_json::{Value, json};

use crate::{
    rig::{PATIENCE, Rig},
    samples,
};

const NAME: &str = "leakinvestigations.leakhound.dev";
/// A field that the operator writes, and one that users do.
const FIELDS: [(&str, &str); 2] =
    [("/status/properties/targets/items/properties", "epochs"), ("/spec/properties", "thresholds")];

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_newer_than_its_definitions_says_so_and_goes_on_once_they_are_of_its_version() {
    let Some(mut rig) = Rig::start(&[]).await else { return };
    let namespace = rig.server.namespace("older").await.unwrap();
    rig.node("older-a").await;
    rig.pod(&namespace, "cart-1", "older-a", &json!({})).await;
    let definitions: Api<CustomResourceDefinition> = Api::all(rig.client.clone());
    let before = definitions.get(NAME).await.unwrap();
    rig.operator.process.kill().unwrap();
    let mut versions = serde_json::to_value(&before.spec.versions).unwrap();
    for (parent, field) in FIELDS {
        let parent = versions.pointer_mut(&format!("/0/schema/openAPIV3Schema/properties{parent}")).unwrap();
        parent.as_object_mut().unwrap().remove(field).unwrap();
    }
    let older = Patch::Merge(json!({ "spec": { "versions": versions } }));
    definitions.patch(NAME, &PatchParams::default(), &older).await.unwrap();

    let published = until("the API server publishes what it has now", PATIENCE, async || {
        let document = rig.server.kubectl(&["get", "--raw", "/openapi/v3/apis/leakhound.dev/v1alpha1"])?;
        let document: Value = serde_json::from_str(&document.success()?)?;
        let schema = &document["components"]["schemas"]["dev.leakhound.v1alpha1.LeakInvestigation"];
        let spec = &schema["properties"]["spec"]["properties"];
        ensure!(spec.is_object() && spec["thresholds"].is_null(), "not yet");
        Ok(())
    })
    .await;
    rig.operator = rig.start_another("operator", &[]).await;
    let investigation = rig
        .investigate(&namespace, "cart", &json!({ "target": { "podName": "cart-1" }, "duration": "1m" }))
        .await;
    let said = until("the operator says what is missing", PATIENCE, async || {
        let ready = reqwest::get(format!("{}/readyz", rig.operator.admin)).await?;
        let (code, text) = (ready.status(), ready.text().await?);
        ensure!(code == 503 && text.contains("does not know"), "{code} {text}");
        Ok(text)
    })
    .await;
    let healthy = reqwest::get(format!("{}/healthz", rig.operator.admin)).await.unwrap().status();
    let untouched = rig.investigations(&namespace).get("cart").await.unwrap().status;
    // other tests need them too, whatever has happened here
    let whole = Patch::Merge(json!({ "spec": { "versions": before.spec.versions } }));
    definitions.patch(NAME, &PatchParams::default(), &whole).await.unwrap();

    published.unwrap();
    let said = said.unwrap();
    assert!(said.contains("LeakInvestigation does not know spec.thresholds"), "{said}");
    assert!(said.contains("apply those of this version"), "{said}");
    assert_eq!(healthy, 200, "restarting it would not help");
    let observed = untouched.and_then(|status| status.observed_generation);
    assert_eq!(observed, None, "a status without some of its fields is not written at all");

    rig.operator.ready().await.unwrap();
    rig.beat("older-a", SignedDuration::ZERO).await;
    let probe = rig.order(&investigation).await;
    rig.finishes(&probe, ProbeReason::Completed, 60, samples::recording("open_session")).await;
    rig.until_reason(&namespace, "cart", "Completed").await;
}
