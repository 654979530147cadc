//! Everything that a user can write: what is right is taken, and each mistake is answered with how to mend it.

use leakhound_e2e::ApiServer;
use serde_json::{Value, json};

use crate::support::{about_a_pod, complaint, investigation, named, would_create};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_right_is_taken() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("right").await.unwrap();
    let labels = json!({ "matchLabels": { "app": "a", "example.com/tier_1": "B.c", "empty": "" } });
    let expressions = json!({ "matchExpressions": [
        { "key": "app", "operator": "In", "values": ["a"] },
        { "key": "old", "operator": "DoesNotExist" },
    ] });
    let targets = [
        json!({ "podName": "cart-7c9f-x2k" }),
        json!({ "podName": "a".repeat(253) }),
        json!({ "workloadRef": { "kind": "Deployment", "name": "a" } }),
        json!({ "workloadRef": { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "a.b" } }),
        json!({ "selector": labels }),
        json!({ "selector": expressions }),
        json!({ "podName": "a", "container": "c", "maxTargets": 10, "selectionPolicy": "Newest",
            "processes": { "policy": "All", "max": 64 } }),
    ];
    let specs = targets.into_iter().map(|target| json!({ "target": target }));
    let wishes = [
        json!({}),
        json!({ "mode": "Growth" }),
        json!({ "duration": "1h30m" }),
        json!({ "duration": "24h" }),
        json!({ "duration": "1m" }),
        json!({ "duration": "15s", "snapshotInterval": "5s" }),
        json!({ "duration": "15000ms", "snapshotInterval": "5s" }),
        json!({ "startingDeadlineSeconds": 0 }),
        json!({ "startingDeadlineSeconds": 86400 }),
        json!({ "allocator": { "type": "Custom", "symbolPrefix": "je_", "library": "libx.so.2" } }),
        json!({ "sampling": { "policy": "All" } }),
        json!({ "sampling": { "bytesPerSample": 1024 } }),
        json!({ "sampling": { "bytesPerSample": 1_073_741_824 } }),
        json!({ "sampling": { "bytesPerSample": "1.5Mi" } }),
        json!({ "thresholds": { "minAge": "5m", "minOutstanding": 0, "minGrowthPerHour": "1e6", "maxFindings": 20 } }),
        json!({ "budget": { "cpuPercent": 100, "eventsPerSecond": 100, "agentMemory": "32Mi", "onExceeded": "Stop" } }),
        json!({ "onContainerRestart": "Fail", "onAgentRestart": "Finish" }),
        json!({ "report": { "formats": ["HTML", "Pprof", "JSON", "Folded"] } }),
        json!({ "suspend": true, "stop": true, "ttlSecondsAfterFinished": 0 }),
    ];
    for spec in specs.chain(wishes.iter().map(about_a_pod)) {
        let answer = would_create(server, &[], &investigation(&namespace, &spec));
        assert!(answer.ok, "{spec}: {}", answer.text);
    }
    let answer = would_create(server, &[], &named(&"n".repeat(63), &namespace, &about_a_pod(&json!({}))));
    assert!(answer.ok, "{}", answer.text);
}

/// A spec, and what its author is told.
type Mistake = (Value, &'static str);

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_about_the_target_are_explained() {
    let target = |value: Value| json!({ "target": value });
    let requirement = |value: Value| target(json!({ "selector": { "matchExpressions": [value] } }));
    let mistakes: Vec<Mistake> = vec![
        (json!({}), "spec.target: Required value"),
        (
            target(json!({})),
            "spec.target: Invalid value: set exactly one of podName, workloadRef and selector",
        ),
        (
            target(json!({ "podName": "a", "selector": { "matchLabels": { "app": "a" } } })),
            "spec.target: Invalid value: set exactly one of podName, workloadRef and selector",
        ),
        (
            target(json!({ "selector": {} })),
            "spec.target.selector: Invalid value: an empty selector would match every pod of the namespace: \
             give matchLabels or matchExpressions",
        ),
        (
            requirement(json!({ "key": "app", "operator": "In" })),
            "spec.target.selector.matchExpressions[0]: Invalid value: In and NotIn need values, Exists and \
             DoesNotExist take none",
        ),
        (
            requirement(json!({ "key": "app", "operator": "Exists", "values": ["a"] })),
            "In and NotIn need values, Exists and DoesNotExist take none",
        ),
        (
            requirement(json!({ "key": "app", "operator": "Like", "values": ["a"] })),
            r#"Unsupported value: "Like": supported values: "In", "NotIn", "Exists", "DoesNotExist""#,
        ),
        (
            target(json!({ "selector": { "matchLabels": { "k".repeat(318): "v" } } })),
            "spec.target.selector: Invalid value: a label key is at most 317 characters",
        ),
        (
            target(json!({ "selector": { "matchLabels": { "two words": "a" } } })),
            "spec.target.selector.matchLabels: Invalid value: matchLabels needs keys like app or example.com/app, and \
             values of at most 63 letters, digits, dashes, underscores and dots",
        ),
        (
            target(json!({ "selector": { "matchLabels": { "app": "-a" } } })),
            "matchLabels needs keys like app",
        ),
        (target(json!({ "selector": { "matchLabels": { "": "a" } } })), "matchLabels needs keys like app"),
        (
            requirement(json!({ "key": "a/b/c", "operator": "Exists" })),
            "spec.target.selector.matchExpressions[0]: Invalid value: a requirement needs a key like app or \
             example.com/app, and values of at most 63 letters, digits, dashes, underscores and dots",
        ),
        (
            requirement(json!({ "key": "app", "operator": "In", "values": ["a b"] })),
            "a requirement needs a key",
        ),
        (
            target(json!({ "podName": "A_b" })),
            r"spec.target.podName in body should match '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$'",
        ),
        (target(json!({ "podName": "a".repeat(254) })), "spec.target.podName: Too long"),
        (target(json!({ "podName": "" })), "spec.target.podName in body should be at least 1 chars long"),
        (
            target(json!({ "podName": "a", "container": "A" })),
            r"spec.target.container in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'",
        ),
        (target(json!({ "podName": "a", "container": "c".repeat(64) })), "spec.target.container: Too long"),
        (
            target(json!({ "workloadRef": { "kind": "CronJob", "name": "a" } })),
            r#"spec.target.workloadRef.kind: Unsupported value: "CronJob": supported values: "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet""#,
        ),
        (
            target(json!({ "workloadRef": { "kind": "Deployment" } })),
            "spec.target.workloadRef.name: Required value",
        ),
        (
            target(json!({ "podName": "a", "maxTargets": 11 })),
            "spec.target.maxTargets in body should be less than or equal to 10",
        ),
        (
            target(json!({ "podName": "a", "maxTargets": 0 })),
            "spec.target.maxTargets in body should be greater than or equal to 1",
        ),
        (
            target(json!({ "podName": "a", "processes": { "max": 65 } })),
            "spec.target.processes.max in body should be less than or equal to 64",
        ),
        (
            target(json!({ "podName": "a", "selectionPolicy": "Biggest" })),
            r#"supported values: "HighestMemory", "Oldest", "Newest""#,
        ),
    ];
    each_is_refused(&mistakes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_about_time_are_explained() {
    const BOUNDS: &str = "duration must be between 15s and 24h, written like 90s, 10m or 1h30m";
    const INTERVAL: &str = "snapshotInterval must be at least 5s, written like 5s or 1m";
    let mistakes = [
        (json!({ "duration": "14s" }), BOUNDS),
        (json!({ "duration": "24h1s" }), BOUNDS),
        (json!({ "duration": "10 minutes" }), BOUNDS),
        (json!({ "duration": "-10m" }), BOUNDS),
        (json!({ "duration": "1.5h" }), BOUNDS),
        (json!({ "duration": "" }), BOUNDS),
        (json!({ "duration": 600 }), r#"spec.duration in body must be of type string: "integer""#),
        (json!({ "duration": "10s", "snapshotInterval": "5s" }), BOUNDS),
        (json!({ "snapshotInterval": "often" }), INTERVAL),
        (json!({ "snapshotInterval": "4999ms" }), INTERVAL),
        (
            json!({ "duration": "1m", "snapshotInterval": "30s" }),
            "spec.snapshotInterval: Invalid value: snapshotInterval 30s is too long for duration 1m: a verdict needs \
             at least 3 snapshots, so use at most a third of the duration",
        ),
        (
            json!({ "duration": "15s", "snapshotInterval": "5001ms" }),
            "snapshotInterval 5001ms is too long for duration 15s",
        ),
        (json!({ "thresholds": { "minAge": "1d" } }), "minAge must be a duration, written like 60s or 5m"),
        (json!({ "startingDeadlineSeconds": -1 }), "should be greater than or equal to 0"),
        (json!({ "startingDeadlineSeconds": 86401 }), "should be less than or equal to 86400"),
        (json!({ "ttlSecondsAfterFinished": -1 }), "should be greater than or equal to 0"),
        (
            json!({ "ttlSecondsAfterFinished": 2_147_483_648_i64 }),
            "should be less than or equal to 2147483647",
        ),
    ];
    each_is_refused(&mistakes.map(|(fields, message)| (about_a_pod(&fields), message))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_about_all_else_are_explained() {
    const SAMPLE: &str = "bytesPerSample must be between 1Ki and 1Gi, written like 524288 or 512Ki";
    const PREFIX: &str = "symbolPrefix is required with type Custom and not allowed with any other";
    let mistakes = [
        (
            json!({ "mode": "Slab" }),
            r#"spec.mode: Unsupported value: "Slab": supported values: "Heap", "Growth", "Kernel""#,
        ),
        (json!({ "allocator": { "type": "Custom" } }), PREFIX),
        (json!({ "allocator": { "symbolPrefix": "my_" } }), PREFIX),
        (
            json!({ "allocator": { "type": "Custom", "symbolPrefix": "9-" } }),
            "spec.allocator.symbolPrefix in body should match '^[A-Za-z_][A-Za-z0-9_]*$'",
        ),
        (
            json!({ "allocator": { "library": "/usr/lib/libjemalloc.so" } }),
            "spec.allocator.library in body should match '^[^/]+$'",
        ),
        (
            json!({ "allocator": { "type": "Go" } }),
            r#"spec.allocator.type: Unsupported value: "Go": supported values: "Auto", "Glibc", "Musl", "Jemalloc", "Tcmalloc", "Mimalloc", "Custom""#,
        ),
        (
            json!({ "mode": "Growth", "allocator": { "type": "Musl" } }),
            "spec.allocator: Invalid value: allocator is about probes in a program: leave it out, or use mode Heap",
        ),
        (
            json!({ "mode": "Growth", "sampling": { "policy": "ByteInterval" } }),
            "spec.sampling: Invalid value: sampling is about probes in a program: leave it out, or use mode Heap",
        ),
        (json!({ "sampling": { "bytesPerSample": 100 } }), SAMPLE),
        (json!({ "sampling": { "bytesPerSample": "10" } }), SAMPLE),
        (json!({ "sampling": { "bytesPerSample": "512KB" } }), SAMPLE),
        (json!({ "sampling": { "bytesPerSample": "2Gi" } }), SAMPLE),
        (
            json!({ "thresholds": { "minGrowthPerHour": "-5Mi" } }),
            "minGrowthPerHour must be a quantity, written like 1048576 or 1Mi",
        ),
        (
            json!({ "thresholds": { "minOutstanding": "lots" } }),
            "minOutstanding must be a quantity, written like 1048576 or 1Mi",
        ),
        (json!({ "thresholds": { "maxFindings": 21 } }), "should be less than or equal to 20"),
        (
            json!({ "budget": { "agentMemory": "1GB" } }),
            "agentMemory must be at least 32Mi, written like 67108864 or 64Mi",
        ),
        (json!({ "budget": { "agentMemory": 1024 } }), "agentMemory must be at least 32Mi"),
        (json!({ "budget": { "cpuPercent": 0 } }), "should be greater than or equal to 1"),
        (json!({ "budget": { "eventsPerSecond": 1 } }), "should be greater than or equal to 100"),
        (json!({ "budget": { "onExceeded": "Panic" } }), r#"supported values: "Downsample", "Stop""#),
        (json!({ "onContainerRestart": "Retry" }), r#"supported values: "Follow", "Finish", "Fail""#),
        (json!({ "onAgentRestart": "Retry" }), r#"supported values: "Resume", "Finish", "Fail""#),
        (
            json!({ "report": { "formats": ["HTML", "HTML"] } }),
            r#"spec.report.formats[1]: Duplicate value: "HTML""#,
        ),
        (json!({ "report": { "formats": [] } }), "spec.report.formats in body should have at least 1 items"),
        (
            json!({ "report": { "formats": ["PDF"] } }),
            r#"supported values: "HTML", "Pprof", "JSON", "Folded""#,
        ),
        (json!({ "report": { "notify": ["a"] } }), r#"unknown field "spec.report.notify""#),
        (json!({ "suspend": "yes" }), r#"spec.suspend in body must be of type boolean: "string""#),
        (json!({ "durration": "10m" }), r#"strict decoding error: unknown field "spec.durration""#),
    ];
    each_is_refused(&mistakes.map(|(fields, message)| (about_a_pod(&fields), message))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_about_the_object_are_explained() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("object").await.unwrap();
    let long = would_create(server, &[], &named(&"n".repeat(64), &namespace, &about_a_pod(&json!({}))));
    let message = "metadata.name must be at most 63 characters, because it is used as a label value";
    assert!(!long.ok && complaint(&long).contains(message), "{}", long.text);
    let mut bare = investigation(&namespace, &json!({}));
    bare.as_object_mut().unwrap().remove("spec");
    let bare = would_create(server, &[], &bare);
    assert!(!bare.ok && complaint(&bare).contains("spec: Required value"), "{}", bare.text);
}

async fn each_is_refused(mistakes: &[Mistake]) {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("wrong").await.unwrap();
    for (spec, message) in mistakes {
        let answer = would_create(server, &[], &investigation(&namespace, spec));
        assert!(!answer.ok, "{spec} was taken");
        let complaint = complaint(&answer);
        assert!(complaint.contains(message), "{spec}\nwanted: {message}\nsaid:   {complaint}");
        assert_eq!(complaint.matches(message).count(), 1, "{spec}: said twice: {complaint}");
    }
}
