//! A question keeps its wording: what may change after creation, and what may not.

use leakhound_e2e::ApiServer;
use serde_json::{Value, json};

use crate::support::{about_a_pod, admin, complaint, investigation};

#[tokio::test(flavor = "multi_thread")]
async fn only_three_fields_may_change() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("fixed").await.unwrap();
    server
        .apply(&[investigation(&namespace, &about_a_pod(&json!({ "ttlSecondsAfterFinished": 60 })))])
        .unwrap();
    let refused = [
        ("target", json!({ "target": { "podName": "b" } })),
        ("target", json!({ "target": { "container": "was unset" } })),
        ("target", json!({ "target": { "processes": { "max": 5 } } })),
        ("mode", json!({ "mode": "Growth" })),
        ("snapshotInterval", json!({ "snapshotInterval": "31s" })),
        ("startingDeadlineSeconds", json!({ "startingDeadlineSeconds": 1 })),
        ("allocator", json!({ "allocator": { "type": "Musl" } })),
        ("allocator", json!({ "allocator": { "library": "libx.so" } })),
        ("sampling", json!({ "sampling": { "policy": "All" } })),
        ("thresholds", json!({ "thresholds": { "maxFindings": 3 } })),
        ("budget", json!({ "budget": { "cpuPercent": 50 } })),
        ("onContainerRestart", json!({ "onContainerRestart": "Fail" })),
        ("onAgentRestart", json!({ "onAgentRestart": "Fail" })),
        ("report", json!({ "report": { "formats": ["JSON"] } })),
    ];
    for (field, change) in refused {
        let answer = patch(server, &namespace, &change, true);
        let message = format!("{field} cannot be changed: create another LeakInvestigation");
        assert!(!answer.ok && complaint(&answer).contains(&message), "{change}: {}", answer.text);
    }
    for change in [json!({ "duration": "11m" }), json!({ "duration": "600s" })] {
        let answer = patch(server, &namespace, &change, true);
        let message =
            "duration cannot be changed: set stop to end early, or create another LeakInvestigation";
        assert!(!answer.ok && complaint(&answer).contains(message), "{change}: {}", answer.text);
    }
    let taken = [
        json!({ "suspend": true }),
        json!({ "ttlSecondsAfterFinished": 5 }),
        json!({ "ttlSecondsAfterFinished": null }),
        json!({ "stop": true }),
        json!({ "duration": null }),   // the default comes back, which it was
        json!({ "thresholds": null }), // likewise
    ];
    for change in taken {
        let answer = patch(server, &namespace, &change, true);
        assert!(answer.ok, "{change}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_cannot_be_taken_back() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("stop").await.unwrap();
    let first = investigation(&namespace, &about_a_pod(&json!({}))).to_string();
    server.kubectl_with(&admin(server), &["apply", "-f", "-"], &first).unwrap().success().unwrap();
    patch(server, &namespace, &json!({ "stop": true }), false).success().unwrap();
    let message = "stop cannot be taken back: create another LeakInvestigation";
    for change in [json!({ "stop": false }), json!({ "stop": null })] {
        let answer = patch(server, &namespace, &change, true);
        assert!(!answer.ok && complaint(&answer).contains(message), "{change}: {}", answer.text);
    }
    let replaced =
        server.kubectl_with(&admin(server), &["replace", "--dry-run=server", "-f", "-"], &first).unwrap();
    assert!(!replaced.ok && complaint(&replaced).contains(message), "{}", replaced.text);
    let applied =
        server.kubectl_with(&admin(server), &["apply", "--dry-run=server", "-f", "-"], &first).unwrap();
    assert!(applied.ok, "applying the first manifest again must work: {}", applied.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_are_those_of_the_types() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("defaults").await.unwrap();
    server.apply(&[investigation(&namespace, &about_a_pod(&json!({})))]).unwrap();
    let stored =
        server.kubectl(&["-n", &namespace, "get", "leak", "t", "-o", "json"]).unwrap().success().unwrap();
    let stored: Value = serde_json::from_str(&stored).unwrap();
    let ours = leakhound_crds::LeakInvestigationSpec::of(leakhound_crds::investigation::Target::pod("a"));
    assert_eq!(stored["spec"], serde_json::to_value(ours).unwrap());
    assert_eq!(
        stored["status"]["conditions"],
        json!([{ "type": "Succeeded", "status": "Unknown", "reason": "Pending",
            "message": "the Leakhound operator has not seen this yet", "lastTransitionTime": "1970-01-01T00:00:00Z" }]),
    );
}

fn patch(
    server: &ApiServer,
    namespace: &str,
    change: &Value,
    only_asking: bool,
) -> leakhound_e2e::apiserver::Output {
    let change = json!({ "spec": change }).to_string();
    let mut arguments = vec!["-n", namespace, "patch", "leak", "t", "--type=merge", "-p", &change];
    if only_asking {
        arguments.push("--dry-run=server");
    }
    server.kubectl(&arguments).unwrap()
}
