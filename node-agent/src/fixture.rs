//! A probe as the operator writes it, for tests.

use k8s_openapi::jiff::Timestamp;
use leakhound_crds::LeakProbe;
use serde_json::json;

/// A moment that tests agree on.
pub(crate) fn noon() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

/// Wants ten minutes of a container, until a quarter past twelve at the latest.
pub(crate) fn probe() -> LeakProbe {
    serde_json::from_value(json!({
        "apiVersion": "leakhound.dev/v1alpha1",
        "kind": "LeakProbe",
        "metadata": {
            "name": "checkout-0a1b2c3d-5f4e3d2c", "namespace": "leakhound-system", "generation": 1,
            "uid": "6f0c2a52-0000-4000-8000-000000000001", "resourceVersion": "7",
        },
        "spec": {
            "nodeName": "node1",
            "investigation": { "namespace": "shop", "name": "checkout", "uid": "1f0c2a52-0000-4000-8000-000000000001" },
            "podUID": "0a1b2c3d-0000-4000-8000-aabbccddeeff",
            "containerID": format!("containerd://{}", "3f4e1c2b".repeat(8)),
            "containerName": "checkout",
            "mode": "Heap",
            "deadlineTime": "2026-01-01T12:15:00Z",
            "profile": { "duration": "10m", "snapshotInterval": "30s" },
        },
    }))
    .unwrap()
}
