//! Names that several programs must agree on.

/// API group of both kinds.
pub const GROUP: &str = "leakhound.dev";
/// Served and stored version of both kinds.
pub const VERSION: &str = "v1alpha1";

/// Label on a probe: uid of the investigation that ordered it.
pub const INVESTIGATION_UID: &str = "leakhound.dev/investigation-uid";
/// Label on a probe: namespace of the investigation that ordered it.
pub const INVESTIGATION_NAMESPACE: &str = "leakhound.dev/investigation-namespace";
/// Label on a probe: name of the investigation that ordered it.
pub const INVESTIGATION_NAME: &str = "leakhound.dev/investigation-name";
/// Label on a namespace or a pod, with any value: nothing in it may be investigated.
pub const DENY: &str = "leakhound.dev/deny";
/// Annotation on an agent's Lease: what its node can do, as JSON text.
pub const PREFLIGHT: &str = "leakhound.dev/preflight";

/// Audience of the token with which an agent uploads a recording; it is worthless at the API server.
pub const AUDIENCE: &str = "leakhound";
/// An agent's Lease is called this and the name of its node.
pub const AGENT_LEASE_PREFIX: &str = "leakhound-agent-";
/// Service account of the agents.
pub const AGENT_ACCOUNT: &str = "leakhound-agent";
/// Service account of the operator, and its field manager.
pub const OPERATOR_ACCOUNT: &str = "leakhound-operator";
/// Header of an upload: SHA-256 of the body in lower-case hex.
pub const SHA256_HEADER: &str = "Leakhound-Sha256";

/// Reason of a probe's `RecordingUploaded` while the agent cannot upload and goes on trying.
pub const RETRYING: &str = "Retrying";

/// Name of the Lease by which the agent of a node shows that it is alive.
pub fn agent_lease(node: &str) -> String {
    format!("{AGENT_LEASE_PREFIX}{node}")
}
