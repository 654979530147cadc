//! What server-side apply does with a status: facts on which the operator is built.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use leakhound_crds::{LeakInvestigation, condition::SUCCEEDED};
use leakhound_e2e::{ApiServer, apiserver::Binding};
use serde_json::{Value, json};

use crate::support::{SYSTEM, about_a_pod, investigation, outcome};

const OPERATOR: &str = "leakhound-operator";

struct Subject {
    api: Api<LeakInvestigation>,
}

impl Subject {
    /// An investigation, in the hands of the operator's own account.
    async fn new(server: &ApiServer, prefix: &str) -> Self {
        let namespace = server.namespace(prefix).await.unwrap();
        server.apply(&[investigation(&namespace, &about_a_pod(&json!({})))]).unwrap();
        let token = server.token(SYSTEM, OPERATOR, Binding::None, None).await.unwrap();
        let client: Client = server.client_with(&token).unwrap();
        Self { api: Api::namespaced(client, &namespace) }
    }

    async fn apply(&self, manager: &str, metadata: Value, status: &Value) -> kube::Result<LeakInvestigation> {
        let object = json!({ "apiVersion": "leakhound.dev/v1alpha1", "kind": "LeakInvestigation",
            "metadata": metadata, "status": status });
        self.api.patch_status("t", &PatchParams::apply(manager), &Patch::Apply(&object)).await
    }
}

fn conditions(type_: &str, reason: &str) -> Value {
    json!({ "conditions": [{ "type": type_, "status": "Unknown", "reason": reason, "message": "m",
        "lastTransitionTime": "2026-01-01T00:00:00Z" }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_apply_takes_the_default_over_without_force() {
    let Some(server) = ApiServer::shared().await else { return };
    let subject = Subject::new(server, "first").await;
    let after = subject.apply(OPERATOR, json!({}), &conditions(SUCCEEDED, "Running")).await.unwrap();
    assert_eq!(after.status.unwrap().conditions[0].reason, "Running");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_managers_share_the_list_of_conditions_but_no_condition() {
    let Some(server) = ApiServer::shared().await else { return };
    let subject = Subject::new(server, "managers").await;
    subject.apply(OPERATOR, json!({}), &conditions(SUCCEEDED, "Running")).await.unwrap();
    let after = subject.apply("another", json!({}), &conditions("Other", "Reason")).await.unwrap();
    assert_eq!(after.status.unwrap().conditions.len(), 2);
    let (code, message) = outcome(subject.apply("another", json!({}), &conditions(SUCCEEDED, "Else")).await);
    assert_eq!(code, 409);
    assert!(message.contains(r#".status.conditions[type="Succeeded"].reason"#), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_without_a_change_is_no_write_and_what_is_left_out_is_withdrawn() {
    let Some(server) = ApiServer::shared().await else { return };
    let subject = Subject::new(server, "same").await;
    let mut status = conditions(SUCCEEDED, "Running");
    status["probedSeconds"] = json!(7);
    let first = subject.apply(OPERATOR, json!({}), &status).await.unwrap();
    let second = subject.apply(OPERATOR, json!({}), &status).await.unwrap();
    assert_eq!(first.metadata.resource_version, second.metadata.resource_version);
    let less = subject.apply(OPERATOR, json!({}), &conditions(SUCCEEDED, "Running")).await.unwrap();
    assert_eq!(less.status.unwrap().probed_seconds, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_resource_version_keeps_a_verdict_from_a_namesake() {
    let Some(server) = ApiServer::shared().await else { return };
    let subject = Subject::new(server, "namesake").await;
    let seconds = json!({ "probedSeconds": 1 });
    let uid = json!({ "uid": "11111111-1111-1111-1111-111111111111" });
    assert_eq!(outcome(subject.apply(OPERATOR, uid, &seconds).await).0, 200, "a wrong uid is not noticed");
    let stale = json!({ "resourceVersion": "1" });
    assert_eq!(outcome(subject.apply(OPERATOR, stale, &seconds).await).0, 409, "a stale version is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_the_definition_does_not_know_is_refused_whole() {
    let Some(server) = ApiServer::shared().await else { return };
    let subject = Subject::new(server, "later").await;
    let (code, message) = outcome(subject.apply(OPERATOR, json!({}), &json!({ "later": 1 })).await);
    assert_eq!(code, 500);
    assert!(message.contains("field not declared in schema"), "{message}");
    let change = json!({ "status": { "later": 1, "probedSeconds": 3 } });
    let merged =
        subject.api.patch_status("t", &PatchParams::default(), &Patch::Merge(&change)).await.unwrap();
    assert_eq!(merged.status.unwrap().probed_seconds, Some(3), "a merge patch drops it and keeps the rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_of_the_status_are_enforced() {
    let Some(server) = ApiServer::shared().await else { return };
    let subject = Subject::new(server, "bounds").await;
    let frame = json!({ "function": "f" });
    for (status, wanted) in [
        (json!({ "summary": { "verdict": "Maybe" } }), "Unsupported value: \"Maybe\""),
        (json!({ "summary": { "confidencePercent": 101 } }), "should be less than or equal to 100"),
        (json!({ "summary": { "topFrame": "f".repeat(65) } }), "Too long"),
        (json!({ "findings": [{ "rank": 1, "class": "Leak", "frames": vec![frame; 25] }] }), "Too many"),
        (conditions("lower", "Reason"), "should match '^[A-Z][A-Za-z0-9]*$'"),
        (json!({ "probedSeconds": -1 }), "should be greater than or equal to 0"),
    ] {
        let (code, message) = outcome(subject.apply(OPERATOR, json!({}), &status).await);
        assert!(code == 422 && message.contains(wanted), "{status}: {code} {message}");
    }
}

/// The largest value that a schema admits; `number` tells those in one list apart.
fn largest(schema: &JSONSchemaProps, number: usize, filler: char) -> Value {
    if let Some(values) = &schema.enum_ {
        return values[0].0.clone();
    }
    match (schema.type_.as_deref(), schema.format.as_deref(), &schema.items) {
        (Some("object"), ..) => {
            let fields = schema.properties.iter().flatten();
            fields.map(|(name, field)| (name.clone(), largest(field, number, filler))).collect()
        }
        (Some("array"), _, Some(JSONSchemaPropsOrArray::Schema(items))) => {
            let count = usize::try_from(schema.max_items.unwrap()).unwrap();
            (0..count).map(|number| largest(items, number, filler)).collect()
        }
        (Some("integer"), Some("int32"), _) => json!(schema.maximum.map_or(2_147_483_647, whole)),
        (Some("integer"), ..) => json!(schema.maximum.map_or((1 << 53) - 1, whole)),
        (Some("string"), Some("date-time"), _) => json!("2026-01-01T00:00:00Z"),
        (Some("string"), ..) => {
            let length = usize::try_from(schema.max_length.unwrap()).unwrap();
            let filler = if schema.pattern.is_some() { 'x' } else { filler };
            let text: String =
                format!("N{number:02}").chars().chain(std::iter::repeat(filler)).take(length).collect();
            json!(text)
        }
        (other, ..) => panic!("nothing is known of {other:?}"),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "bounds are whole")]
fn whole(bound: f64) -> i64 {
    bound as i64
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_status_that_the_definition_admits_can_be_stored() {
    let Some(server) = ApiServer::shared().await else { return };
    let [definition, _] = leakhound_crds::definition::definitions();
    let schema = definition.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
    let status = &schema.properties.unwrap()["status"];
    for (name, filler) in [("plain", 'x'), ("wide", '\u{1d11e}')] {
        let subject = Subject::new(server, name).await;
        let mut largest = largest(status, 0, filler);
        largest["conditions"][0]["type"] = json!(SUCCEEDED); // there already, by default
        let bytes = largest.to_string().len();
        assert!(bytes > 64 << 10, "the cap of 64 KiB would be the schema's and not the operator's: {bytes}");
        let stored = subject.apply(OPERATOR, json!({}), &largest).await.unwrap().status.unwrap();
        assert_eq!(stored.findings.len(), 20);
    }
}
