//! The reference of the API for people, written from the same definitions that are installed.

use std::fmt::{Result, Write};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use crate::definition::definitions;

const INTRODUCTION: &str = "\
# The API

Written by `make crds` from the types in `crds/src`. On a cluster, `kubectl explain leakinvestigation.spec` says the same.

A **LeakInvestigation** is what you write: one question about one target in the same namespace, with a duration. Its spec
is fixed when it is created, but for `suspend`, `stop` and `ttlSecondsAfterFinished`. A **LeakProbe** is the operator's order
to one node, in Leakhound's own namespace; there is no reason to write one.

Durations are up to four numbers with `h`, `m`, `s` or `ms`, such as `90s` or `1h30m`. Sizes are numbers of bytes with or
without a unit, such as `524288`, `512Ki` or `1.5Mi`.
";

/// The reference as Markdown.
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for definition in definitions() {
        let _ = kind(&mut text, &definition); // writing to a string cannot fail
    }
    text
}

fn kind(text: &mut String, definition: &CustomResourceDefinition) -> Result {
    let names = &definition.spec.names;
    for version in &definition.spec.versions {
        let Some(schema) = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref())
        else {
            continue;
        };
        writeln!(text, "\n## {}\n\n{}", names.kind, schema.description.as_deref().unwrap_or_default())?;
        write!(text, "`{}/{}`, resource `{}`", definition.spec.group, version.name, names.plural)?;
        for short in names.short_names.iter().flatten() {
            write!(text, ", short `{short}`")?;
        }
        writeln!(text, ".")?;
        refusals(text, schema)?;
        for (name, part) in schema.properties.iter().flatten() {
            section(text, &names.kind, name, part)?;
        }
    }
    Ok(())
}

/// One object: a table of its fields, what is refused, then the objects within.
fn section(text: &mut String, kind: &str, path: &str, schema: &JSONSchemaProps) -> Result {
    writeln!(text, "\n### {kind}.{path}\n")?;
    if let Some(description) = &schema.description {
        writeln!(text, "{description}\n")?;
    }
    writeln!(text, "| field | type | default | |\n|---|---|---|---|")?;
    let required = schema.required.as_deref().unwrap_or_default();
    let mut within = Vec::new();
    for (name, field) in schema.properties.iter().flatten() {
        let below = format!("{path}.{name}");
        let default = match &field.default {
            Some(value) if !value.0.is_object() && !value.0.is_array() => format!("`{}`", plain(&value.0)),
            Some(value) if value.0.is_array() => format!("`{}`", value.0),
            _ if required.contains(name) => "required".to_owned(),
            _ => String::new(),
        };
        let said =
            format!(" Default {}.", field.default.as_ref().map(|value| plain(&value.0)).unwrap_or_default());
        let description =
            field.description.as_deref().unwrap_or_default().replace(&said, "").replace('|', "\\|");
        writeln!(text, "| `{name}` | {} | {default} | {description} |", type_of(kind, &below, field))?;
        if let Some(object) = object_in(field) {
            within.push((below, object));
        }
    }
    refusals(text, schema)?;
    for (path, object) in within {
        section(text, kind, &path, object)?;
    }
    Ok(())
}

/// The messages of rules across several fields. That a field cannot be changed is said at the field.
fn refusals(text: &mut String, schema: &JSONSchemaProps) -> Result {
    let rules = schema.x_kubernetes_validations.iter().flatten();
    let messages: Vec<&str> = rules
        .filter_map(|rule| rule.message.as_deref())
        .filter(|message| !message.contains("cannot be changed"))
        .collect();
    if !messages.is_empty() {
        writeln!(text, "\nChecked by the API server: {}.", messages.join("; "))?;
    }
    Ok(())
}

/// The object that a field holds, or of which it holds a list.
fn object_in(field: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &field.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => object_in(items),
        _ => field.properties.is_some().then_some(field),
    }
}

fn type_of(kind: &str, path: &str, field: &JSONSchemaProps) -> String {
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &field.items {
        return format!("list of {}", type_of(kind, path, items));
    }
    if let Some(values) = &field.enum_ {
        return values.iter().map(|value| format!("`{}`", plain(&value.0))).collect::<Vec<_>>().join(", ");
    }
    if field.x_kubernetes_int_or_string == Some(true) {
        return "size".to_owned();
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &field.additional_properties {
        return format!("map to {}", type_of(kind, path, values));
    }
    match (field.type_.as_deref(), field.format.as_deref()) {
        (Some("object"), _) => {
            let anchor = format!("{kind}{path}").replace('.', "").to_lowercase();
            format!("[object](#{anchor})")
        }
        (Some("string"), Some("date-time")) => "time".to_owned(),
        (Some(name), _) => name.to_owned(),
        (None, _) => String::new(),
    }
}

/// A value as one writes it in YAML.
fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
