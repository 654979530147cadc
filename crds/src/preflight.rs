//! What a node can do, as its agent tells everybody who may read its Lease.

use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
use serde::{Deserialize, Serialize};

use crate::{investigation::Mode, names::AGENT_ACCOUNT};

/// What a node can do: JSON in the annotation [`crate::names::PREFLIGHT`] of the agent's Lease. Agent, operator and plugin may
/// be of different versions, so what one does not know is skipped, and what is missing is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Preflight {
    /// Version of the agent.
    pub version: String,
    /// Kernel release, as in `uname -r`.
    pub kernel: String,
    /// Machine, as in `uname -m`.
    pub architecture: String,
    /// The kernel describes its own types.
    pub btf: bool,
    /// The best way of attaching probes to a program that works; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attach: Option<String>,
    /// Privileges that the agent lacks.
    pub missing: Vec<Missing>,
    /// Every mode that was tried.
    pub modes: Vec<ModeSupport>,
}

/// When an agent renewed its Lease last, as the API server noted it: the time in the Lease is that of the node's clock, which
/// may be minutes off.
pub fn renewed(lease: &Lease) -> Option<Timestamp> {
    let entries = lease.metadata.managed_fields.iter().flatten();
    let of_agent = entries.filter(|entry| entry.manager.as_deref() == Some(AGENT_ACCOUNT));
    let noted = of_agent.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max();
    noted.or_else(|| Some(lease.spec.as_ref()?.renew_time.as_ref()?.0))
}

/// A privilege that the agent lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// Its name, such as CAP_BPF.
    pub capability: String,
    /// What it is needed for.
    pub needed_for: String,
}

/// Whether a mode works on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModeSupport {
    /// Which.
    pub mode: Mode,
    /// What keeps it from working, and what to do about it; absent when it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
}

impl Preflight {
    /// What keeps a mode from working there; `None` also of a mode that was not tried.
    pub fn obstacle_to(&self, mode: Mode) -> Option<&str> {
        self.modes.iter().find(|tried| tried.mode == mode)?.obstacle.as_deref()
    }

    /// Modes that do not work, and why.
    pub fn obstacles(&self) -> impl Iterator<Item = (Mode, &str)> {
        self.modes.iter().filter_map(|tried| Some((tried.mode, tried.obstacle.as_deref()?)))
    }

    /// Investigations of some mode can run there, as far as anything was said.
    pub fn is_ready(&self) -> bool {
        self.modes.is_empty() || self.modes.iter().any(|tried| tried.obstacle.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_skipped_and_what_is_missing_is_no_obstacle() {
        let json =
            r#"{"kernel":"6.18","modes":[{"mode":"Heap"},{"mode":"Kernel","obstacle":"no"}],"later":1}"#;
        let said: Preflight = serde_json::from_str(json).unwrap();
        assert_eq!((said.obstacle_to(Mode::Kernel), said.obstacle_to(Mode::Growth)), (Some("no"), None));
        assert_eq!(said.obstacles().collect::<Vec<_>>(), [(Mode::Kernel, "no")]);
        assert!(said.is_ready());
        let nowhere = r#"{"modes":[{"mode":"Heap","obstacle":"no BTF"}]}"#;
        assert!(!serde_json::from_str::<Preflight>(nowhere).unwrap().is_ready());
        assert!(serde_json::from_str::<Preflight>("{}").unwrap().is_ready());
    }
}
