//! What `kubectl get` and `kubectl wait` show.

use leakhound_e2e::ApiServer;
use serde_json::{Value, json};

use crate::support::{SYSTEM, about_a_pod, named, probe};

#[tokio::test(flavor = "multi_thread")]
async fn get_tells_target_state_and_answer() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("columns").await.unwrap();
    let workload = json!({ "target": { "workloadRef": { "kind": "Deployment", "name": "checkout" } } });
    let selector = json!({ "target": { "selector": { "matchLabels": { "app": "cart" } } } });
    server
        .apply(&[
            named("pod", &namespace, &about_a_pod(&json!({}))),
            named("selector", &namespace, &selector),
            named("workload", &namespace, &workload),
        ])
        .unwrap();
    let get = |more: &[&str]| {
        let table =
            server.kubectl(&[&["-n", &namespace, "get", "leak"], more].concat()).unwrap().success().unwrap();
        table
            .lines()
            .map(|line| {
                line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
            })
            .collect::<Vec<Vec<String>>>()
    };
    let rows = get(&[]);
    assert_eq!(rows[0], ["NAME", "TARGET", "MODE", "STATE", "VERDICT", "GROWTH", "TOP", "AGE"]);
    assert_eq!(rows[1][..4], ["pod", "a", "Heap", "Pending"]);
    assert_eq!(rows[2][..4], ["selector", r#"{"app":"cart"}"#, "Heap", "Pending"]);
    assert_eq!(rows[3][..4], ["workload", "checkout", "Heap", "Pending"]);

    let status = json!({ "status": {
        "summary": { "verdict": "LeakLikely", "growth": "+420Mi/h", "topFrame": "cart::insert" },
        "reports": [{ "format": "HTML", "url": "http://reports/r/1/shop-pod.html" }],
        "conditions": [{ "type": "Succeeded", "status": "True", "reason": "Completed", "message": "watched for 10m",
            "lastTransitionTime": "2026-01-01T00:00:00Z" }],
    } });
    let patch = status.to_string();
    let patch =
        ["-n", &namespace, "patch", "leak", "pod", "--subresource=status", "--type=merge", "-p", &patch];
    server.kubectl(&patch).unwrap().success().unwrap();
    let rows = get(&["-o", "wide"]);
    assert_eq!(rows[0][8..], ["DURATION", "REPORT", "MESSAGE"]);
    assert_eq!(rows[1][..7], ["pod", "a", "Heap", "Completed", "LeakLikely", "+420Mi/h", "cart::insert"]);
    assert_eq!(rows[1][8..], ["10m", "http://reports/r/1/shop-pod.html", "watched for 10m"]);

    let wait = ["-n", &namespace, "wait", "--for=condition=Succeeded", "--timeout=60s", "leak/pod"];
    assert!(server.kubectl(&wait).unwrap().ok);
    let all = server.kubectl(&["-n", &namespace, "get", "leaks", "-o", "name"]).unwrap().success().unwrap();
    assert_eq!(all.lines().count(), 3, "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_show_node_investigation_and_deadline() {
    let Some(server) = ApiServer::shared().await else { return };
    server.apply(&[probe("columns", "node-columns")]).unwrap();
    let get = ["-n", SYSTEM, "get", "leakprobes", "columns"];
    let table = server.kubectl(&get).unwrap().success().unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "NODE", "INVESTIGATION", "DESIRED", "STATE", "DEADLINE", "AGE"]);
    assert_eq!(rows[1][..5], ["columns", "node-columns", "cart", "Run", "2030-01-01T00:00:00Z"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_documents_every_field() {
    let Some(server) = ApiServer::shared().await else { return };
    for kind in ["leakinvestigation", "leakprobe"] {
        let text = server.kubectl(&["explain", kind, "--recursive", "-o", "plaintext-openapiv2"]).unwrap();
        assert!(text.ok, "{}", text.text);
    }
    let definitions = serde_json::to_value(leakhound_crds::definition::definitions()).unwrap();
    for definition in definitions.as_array().unwrap() {
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            for (path, field) in fields(part, &schema["properties"][part]) {
                assert!(field["description"].is_string(), "{path} has no description");
            }
        }
    }
}

/// All fields below, with their paths.
fn fields(path: &str, schema: &Value) -> Vec<(String, Value)> {
    let items = schema.get("items").into_iter().flat_map(|items| fields(&format!("{path}[]"), items));
    let properties = schema["properties"].as_object().into_iter().flatten().flat_map(|(name, field)| {
        let path = format!("{path}.{name}");
        let below = fields(&path, field);
        std::iter::once((path, field.clone())).chain(below).collect::<Vec<_>>()
    });
    items.chain(properties).collect()
}
