use serde_json::{Value, json};

use super::*;

fn text(status: &Value) -> String {
    let investigation = serde_json::from_value(json!({
        "apiVersion": "leakhound.dev/v1alpha1", "kind": "LeakInvestigation",
        "metadata": { "name": "cart-0-x2lqp", "namespace": "shop" },
        "spec": { "target": { "podName": "cart-0" } }, "status": status,
    }))
    .unwrap();
    answer(&investigation, 10, 120, &|words| format!("kubectl leak {words} -n shop"))
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({ "type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z" })
}

fn target() -> Value {
    json!({
        "podName": "cart-0", "podUID": "u", "container": "app", "nodeName": "n1", "reason": "Completed",
        "coveragePercent": 98, "epochs": 2, "restarts": 1,
        "memory": { "startBytes": 104_857_600, "endBytes": 188_743_680, "limitBytes": 268_435_456, "oomKills": 1 },
        "overhead": { "cpuPermille": 12, "events": 1_000_000, "dropped": 0 },
    })
}

fn finding() -> Value {
    json!({
        "rank": 1, "class": "Leak", "confidencePercent": 90, "outstandingBytes": 83_886_080, "outstandingCount": 12_345,
        "growthBytesPerHour": 440_401_920, "framesOmitted": 2, "podName": "cart-0",
        "frames": [
            { "function": "open_session", "module": "cart", "file": "/src/cart/session.c", "line": 20 },
            { "function": "", "module": "libssl.so.3+0x1234" },
            { "function": "main\u{1b}[2J", "module": "cart", "file": "/src/cart/main.c", "line": 43 },
        ],
    })
}

#[test]
fn a_result_is_verdict_targets_stacks_and_where_the_report_is() {
    insta::assert_snapshot!(text(&json!({
        "conditions": [
            condition("Succeeded", "True", "Completed", "all of the time was watched"),
            condition("LeakDetected", "True", "OutstandingGrowth", "90 % sure: open_session loses memory in 1 of 1 containers"),
            condition("BudgetExceeded", "False", "WithinBudget", "watching costs less than spec.budget allows"),
            condition("ReportReady", "True", "ReportStored", "see status.reports for the links"),
        ],
        "summary": { "verdict": "LeakLikely", "confidencePercent": 90 },
        "targets": [target()], "findings": [finding()], "findingsOmitted": 3,
        "reports": [
            { "format": "HTML", "url": "http://operator:8080/r/0af/shop-cart.html", "sizeBytes": 188_159 },
            { "format": "Pprof", "url": "http://operator:8080/r/0af/shop-cart.pb.gz", "sizeBytes": 1197 },
        ],
    })));
}

#[test]
fn while_it_runs_what_is_known_so_far_is_told() {
    insta::assert_snapshot!(text(&json!({
        "conditions": [
            condition("Succeeded", "Unknown", "Running", "probes are on in cart-0"),
            condition("LeakDetected", "Unknown", "Inconclusive", "too short to say"),
            condition("BudgetExceeded", "True", "OverBudget", "pod cart-0: 9 % of a core, more than 5 %"),
            condition("ReportReady", "False", "NotFinished", "the report is made when the investigation ends"),
        ],
        "summary": { "verdict": "Inconclusive", "confidencePercent": 0 }, "findings": [finding()],
    })));
}

#[test]
fn without_a_result_the_reason_comes_first() {
    let failed = condition("Succeeded", "False", "NoAgentOnNode", "node n1 has no agent: it has a taint");
    assert_eq!(
        text(&json!({ "conditions": [failed] })),
        "No result (NoAgentOnNode): node n1 has no agent: it has a taint\n"
    );
    assert!(text(&json!({})).contains("Nothing is known yet"));
}

#[test]
fn a_missing_report_is_explained() {
    let text = text(&json!({ "conditions": [
        condition("Succeeded", "True", "Completed", "done"),
        condition("ReportReady", "False", "SummaryOnly", "no recording arrived: see the agent's log"),
    ] }));
    assert_eq!(text, "Completed: done\n  - no recording arrived: see the agent's log\n");
}
