//! Whether the CustomResourceDefinitions in the cluster know every field that this version writes.
//!
//! Server-side apply of an unknown field fails with HTTP 500, so an operator that is newer than its CRDs could write no status
//! at all. The server's OpenAPI document shows what it knows, and everybody may read that.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::Client;
use serde_json::Value;
use thiserror::Error;

const DOCUMENT: &str = "/openapi/v3/apis/leakhound.dev/v1alpha1";

/// Why the definitions cannot be used.
#[derive(Debug, Error)]
pub(crate) enum DefinitionsError {
    /// They are not there, or not yet.
    #[error("the CustomResourceDefinitions are not installed: apply those of this version")]
    Missing(#[source] Box<kube::Error>),
    /// They are of an older version.
    #[error(
        "the CustomResourceDefinition of {kind} does not know {field}: it is older than this operator; apply those of this version"
    )]
    Old { kind: String, field: String },
    /// Nobody can say.
    #[error("cannot ask the API server for the CustomResourceDefinitions")]
    Unanswered(#[source] Box<kube::Error>),
    /// The question could not be asked.
    #[error("cannot build the request")]
    Request(#[from] hyper::http::Error),
}

impl DefinitionsError {
    /// Why the server gave no document: it has none, or something is between us.
    fn of(source: kube::Error) -> Self {
        match &source {
            kube::Error::Api(status) if status.code == 404 => Self::Missing(Box::new(source)),
            _ => Self::Unanswered(Box::new(source)),
        }
    }
}

/// Compares the cluster's definitions with ours.
pub(crate) async fn check(client: &Client) -> Result<(), DefinitionsError> {
    let request = hyper::http::Request::get(DOCUMENT).body(Vec::new())?;
    let document: Value = client.request(request).await.map_err(DefinitionsError::of)?;
    leakhound_crds::definition::definitions().iter().try_for_each(|ours| compare(ours, &document))
}

fn compare(ours: &CustomResourceDefinition, document: &Value) -> Result<(), DefinitionsError> {
    let kind = &ours.spec.names.kind;
    let theirs = &document["components"]["schemas"][format!("dev.leakhound.v1alpha1.{kind}")];
    let schema =
        ours.spec.versions.iter().find_map(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
    let missing = schema.and_then(|schema| missing(schema, theirs, String::new()));
    match missing {
        None => Ok(()),
        Some(field) => Err(DefinitionsError::Old { kind: kind.clone(), field }),
    }
}

/// The first field of ours that is not among theirs.
fn missing(ours: &JSONSchemaProps, theirs: &Value, path: String) -> Option<String> {
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &ours.items {
        return missing(items, &theirs["items"], path);
    }
    for (name, property) in ours.properties.iter().flatten() {
        let their_property = &theirs["properties"][name];
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if their_property.is_null() {
            return Some(path);
        }
        if let Some(field) = missing(property, their_property, path) {
            return Some(field);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    /// What a server that has our definitions would publish.
    fn published() -> Value {
        let mut schemas = serde_json::Map::new();
        for definition in leakhound_crds::definition::definitions() {
            let schema = definition.spec.versions[0].schema.clone().unwrap().open_api_v3_schema;
            let name = format!("dev.leakhound.v1alpha1.{}", definition.spec.names.kind);
            schemas.insert(name, serde_json::to_value(schema).unwrap());
        }
        json!({ "components": { "schemas": schemas } })
    }

    fn verdict(document: &Value) -> Result<(), String> {
        let ours = leakhound_crds::definition::definitions();
        ours.iter().try_for_each(|ours| compare(ours, document)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_field_that_the_server_does_not_know_is_named() {
        let mut document = published();
        assert_eq!(verdict(&document), Ok(()));
        let status = &mut document["components"]["schemas"]["dev.leakhound.v1alpha1.LeakInvestigation"]["properties"]
            ["status"];
        status["properties"]["targets"]["items"]["properties"].as_object_mut().unwrap().remove("epochs");
        let problem = verdict(&document).unwrap_err();
        assert!(problem.contains("LeakInvestigation does not know status.targets.epochs"), "{problem}");
        assert!(verdict(&json!({})).is_err());
    }

    #[test]
    fn only_what_the_server_does_not_know_is_not_installed() {
        let said = |code| {
            let status = Status { code, ..Status::default() };
            DefinitionsError::of(kube::Error::Api(Box::new(status))).to_string()
        };
        assert!(said(404).contains("are not installed"), "{}", said(404));
        for code in [401, 403, 429, 500, 503] {
            assert!(said(code).starts_with("cannot ask the API server"), "{code}: {}", said(code));
        }
    }
}
