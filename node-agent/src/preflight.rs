//! What this node can do, as its Lease tells everybody who may read it.

use leakhound_tracer::capabilities::Capabilities;
use serde::{Deserialize, Serialize};

/// What this node can do: JSON in the annotation `leakhound.dev/preflight` of the agent's Lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Preflight {
    /// Version of the agent.
    version: String,
    /// Kernel release, as in `uname -r`.
    kernel: String,
    /// Machine, as in `uname -m`.
    architecture: String,
    /// The kernel describes its own types.
    btf: bool,
    /// The best way of attaching that works; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    attach: Option<String>,
    /// What the agent lacks.
    missing: Vec<Missing>,
    /// Investigations can run here.
    ready: bool,
    /// What keeps them from it, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// A privilege that the agent lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Missing {
    capability: String,
    needed_for: String,
}

impl Preflight {
    /// What the tracer found out, in words of a cluster.
    pub(crate) fn of(capabilities: &Capabilities) -> Self {
        let missing = |(capability, needed_for): &(&str, &str)| Missing {
            capability: (*capability).to_owned(),
            needed_for: (*needed_for).to_owned(),
        };
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: capabilities.kernel.clone(),
            architecture: capabilities.architecture.clone(),
            btf: capabilities.btf,
            attach: capabilities.best_rung().map(|rung| rung.name().to_owned()),
            missing: capabilities.missing.iter().map(missing).collect(),
            ready: capabilities.obstacle().is_none(),
            message: obstacle(capabilities),
        }
    }
}

/// What keeps investigations from running on this node, and what an administrator can do about it.
pub(crate) fn obstacle(capabilities: &Capabilities) -> Option<String> {
    let obstacle = capabilities.obstacle()?;
    if capabilities.missing.is_empty() {
        return Some(obstacle);
    }
    let names: Vec<&str> = capabilities.missing.iter().map(|(name, _)| *name).collect();
    Some(format!(
        "the agent lacks {}: install the chart with agent.capabilities.preset=minimal, or compat on kernels before 6.6",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use leakhound_tracer::rung::Rung;

    use super::*;

    fn node() -> Capabilities {
        Capabilities {
            kernel: "6.1.150".into(),
            architecture: "x86_64".into(),
            btf: true,
            missing: vec![],
            rungs: vec![(Rung::Session, Err("no kfunc".into())), (Rung::PerfEvent, Ok(()))],
            modes: vec![],
        }
    }

    #[test]
    fn a_node_tells_how_it_attaches() {
        let json = serde_json::to_value(Preflight::of(&node())).unwrap();
        assert_eq!(json["kernel"], "6.1.150");
        assert_eq!(json["attach"], Rung::PerfEvent.name());
        assert_eq!((&json["ready"], json.get("message")), (&true.into(), None));
    }

    #[test]
    fn a_node_that_cannot_tells_what_to_do() {
        let mut lacking = node();
        lacking.rungs = vec![(Rung::Session, Err("EPERM".into()))];
        lacking.missing = vec![("CAP_BPF", "to create maps and load programs")];
        let json = serde_json::to_value(Preflight::of(&lacking)).unwrap();
        assert_eq!((&json["ready"], json.get("attach")), (&false.into(), None));
        assert!(json["message"].as_str().unwrap().contains("CAP_BPF: install the chart with"), "{json}");
        assert_eq!(json["missing"][0]["capability"], "CAP_BPF");
    }
}
