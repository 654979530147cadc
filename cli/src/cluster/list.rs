//! `list`: the investigations of a namespace, or of all.

use anyhow::Result;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt, api::ListParams};
use leakhound_crds::{
    LeakInvestigation,
    investigation::{Target, status::Summary},
};

use super::{access::Access, args::List, follow::succeeded, refusal::Right};
use crate::{
    Outcome, columns::columns, destination::Destination, human, outputs::terminal_width, table::visible,
};

pub(super) async fn list(access: &Access, asked: &List) -> Result<Outcome> {
    let api = match asked.all_namespaces {
        true => Api::all(access.client.clone()),
        false => access.investigations(),
    };
    let found = api.list(&ListParams::default()).await;
    let mut found =
        found.map_err(|error| access.refused("cannot list investigations", &error, Right::View))?.items;
    let text = if found.is_empty() {
        let place = match asked.all_namespaces {
            true => "any namespace".to_owned(),
            false => format!("namespace {}", access.namespace),
        };
        format!("No investigations in {place}. To begin one: {}\n", access.command("run POD"))
    } else {
        found
            .sort_by_key(|one| std::cmp::Reverse(one.metadata.creation_timestamp.clone().map(|time| time.0)));
        rows(&found, asked.all_namespaces, Timestamp::now(), terminal_width())
    };
    Destination::Stdout.write(text.as_bytes())?;
    Ok(Outcome::Worked)
}

fn rows(found: &[LeakInvestigation], with_namespace: bool, now: Timestamp, width: u16) -> String {
    let rows = found.iter().map(|one| row(one, now));
    if !with_namespace {
        return columns(
            ["NAME", "TARGET", "MODE", "AGE", "STATE", "VERDICT", "GROWTH", "TOP"],
            0,
            rows,
            width,
        );
    }
    let header = ["NAMESPACE", "NAME", "TARGET", "MODE", "AGE", "STATE", "VERDICT", "GROWTH", "TOP"];
    let rows = found.iter().zip(rows).map(|(one, [name, target, mode, age, state, verdict, growth, top])| {
        [one.namespace().unwrap_or_default(), name, target, mode, age, state, verdict, growth, top]
    });
    columns(header, 0, rows, width)
}

fn row(one: &LeakInvestigation, now: Timestamp) -> [String; 8] {
    let none = Summary::default();
    let summary = one.status.as_ref().and_then(|status| status.summary.as_ref()).unwrap_or(&none);
    let age = one.metadata.creation_timestamp.as_ref();
    let age = age.map(|time| human::seconds(now.duration_since(time.0).as_secs_f64())).unwrap_or_default();
    let verdict = summary.verdict.map(|verdict| match summary.confidence_percent {
        Some(percent) => format!("{verdict} {percent} %"),
        None => verdict.to_string(),
    });
    [
        one.name_any(),
        target(&one.spec.target),
        format!("{:?}", one.spec.mode),
        age,
        succeeded(one).map(|condition| visible(&condition.reason)).unwrap_or_default(),
        verdict.unwrap_or_default(),
        summary.growth.as_deref().map(visible).unwrap_or_default(),
        summary.top_frame.as_deref().map(visible).unwrap_or_default(),
    ]
}

fn target(target: &Target) -> String {
    let name = match (&target.pod_name, &target.workload_ref, &target.selector) {
        (Some(pod), _, _) => pod.clone(),
        (None, Some(workload), _) => format!("{:?}/{}", workload.kind, workload.name).to_lowercase(),
        (None, None, Some(selector)) => {
            let labels = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
            let conditions = selector.match_expressions.iter().map(|wanted| wanted.key.clone());
            labels.chain(conditions).collect::<Vec<_>>().join(",")
        }
        (None, None, None) => String::new(),
    };
    match &target.container {
        Some(container) => visible(&format!("{name}/{container}")),
        None => visible(&name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_is_one_line() {
        let one = |name: &str, spec: serde_json::Value, status: serde_json::Value| -> LeakInvestigation {
            serde_json::from_value(json!({
                "apiVersion": "leakhound.dev/v1alpha1", "kind": "LeakInvestigation",
                "metadata": { "name": name, "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z" },
                "spec": spec, "status": status,
            }))
            .unwrap()
        };
        let found = [
            one(
                "cart-0-x2lqp",
                json!({ "target": { "podName": "cart-0", "container": "app" } }),
                json!({
                    "conditions": [{ "type": "Succeeded", "status": "True", "reason": "Completed", "message": "",
                        "lastTransitionTime": "2026-01-01T00:00:00Z" }],
                    "summary": { "verdict": "LeakLikely", "confidencePercent": 90, "growth": "+420Mi/h",
                        "topFrame": "open_session" },
                }),
            ),
            one(
                "night",
                json!({ "target": { "workloadRef": { "kind": "Deployment", "name": "cart" } }, "mode": "Growth" }),
                json!({}),
            ),
            one(
                "labels",
                json!({ "target": { "selector": { "matchLabels": { "app": "cart" } } } }),
                json!({}),
            ),
        ];
        let now = "2026-01-01T01:05:00Z".parse().unwrap();
        insta::assert_snapshot!(rows(&found, true, now, 160));
        assert_eq!(rows(&found, false, now, 160).lines().count(), 4);
    }
}
