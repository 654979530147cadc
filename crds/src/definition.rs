//! Both kinds as `CustomResourceDefinition`s: what is installed, and what the operator compares with the server's.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_yaml_ng::Value;

use crate::{LeakInvestigation, LeakProbe};

/// The definitions to install.
pub fn definitions() -> [CustomResourceDefinition; 2] {
    [tidy(LeakInvestigation::crd()), tidy(LeakProbe::crd())]
}

/// A definition as YAML, for files.
///
/// # Errors
/// None that depends on the definition.
pub fn yaml(definition: &CustomResourceDefinition) -> Result<String, serde_yaml_ng::Error> {
    let mut value = serde_yaml_ng::to_value(definition)?;
    whole_numbers(&mut value);
    serde_yaml_ng::to_string(&value)
}

/// Bounds are floating-point numbers in the API, and look odd so.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15) {
                #[allow(clippy::cast_possible_truncation, reason = "it is whole and small")]
                let whole = whole as i64;
                *number = whole.into();
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(whole_numbers),
        Value::Mapping(fields) => fields.iter_mut().for_each(|(_, field)| whole_numbers(field)),
        _ => {}
    }
}

/// The derive lets every optional field be `null`, which the server would then store; here a field is set or absent.
/// It also gives defaults to parts of the status, which the server would then invent. Lines of documentation become one.
fn tidy(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            schema.title = None;
            tidy_schema(schema);
            if let Some(status) = schema.properties.as_mut().and_then(|fields| fields.get_mut("status")) {
                children(status).for_each(without_defaults);
            }
        }
    }
    definition
}

fn tidy_schema(schema: &mut JSONSchemaProps) {
    if schema.nullable.take().is_some()
        && let Some(values) = &mut schema.enum_
    {
        values.retain(|value| !value.0.is_null());
    }
    if let Some(text) = &mut schema.description {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    children(schema).for_each(tidy_schema);
}

fn without_defaults(schema: &mut JSONSchemaProps) {
    schema.default = None;
    children(schema).for_each(without_defaults);
}

fn children(schema: &mut JSONSchemaProps) -> impl Iterator<Item = &mut JSONSchemaProps> {
    let items = match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => Some(items.as_mut()),
        _ => None,
    };
    let values = match &mut schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(values)) => Some(values.as_mut()),
        _ => None,
    };
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).chain(items).chain(values)
}
