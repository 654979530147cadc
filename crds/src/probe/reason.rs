//! The reasons of a probe's `Succeeded` condition: the words between agent and operator.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::condition::ConditionStatus;

/// Where a probe is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProbeReason {
    /// The agent has seen it and not begun.
    Pending,
    /// Probes are on.
    Running,
    /// All of the time was watched.
    Completed,
    /// Ended before its time because it was told to.
    StoppedEarly,
    /// The container ended, and what was seen until then is the result.
    TargetGone,
    /// The deadline came first.
    DeadlineExceeded,
    /// The agent failed; the message says how.
    AgentError,
    /// No known allocator in the program.
    AllocatorNotFound,
    /// The container runs on a kernel of its own, such as under gVisor or Kata.
    UnsupportedRuntime,
    /// The node's kernel lacks what this mode needs.
    UnsupportedKernel,
    /// The container on the node is not the one that was named.
    ContainerMismatch,
}

const ALL: [ProbeReason; 11] = [
    ProbeReason::Pending,
    ProbeReason::Running,
    ProbeReason::Completed,
    ProbeReason::StoppedEarly,
    ProbeReason::TargetGone,
    ProbeReason::DeadlineExceeded,
    ProbeReason::AgentError,
    ProbeReason::AllocatorNotFound,
    ProbeReason::UnsupportedRuntime,
    ProbeReason::UnsupportedKernel,
    ProbeReason::ContainerMismatch,
];

impl ProbeReason {
    /// What the `Succeeded` condition says with this reason: `True` where there is a result.
    pub fn succeeded(self) -> ConditionStatus {
        match self {
            Self::Pending | Self::Running => ConditionStatus::Unknown,
            Self::Completed | Self::StoppedEarly | Self::TargetGone => ConditionStatus::True,
            _ => ConditionStatus::False,
        }
    }

    /// Nothing more will come of the probe.
    pub fn is_final(self) -> bool {
        self.succeeded() != ConditionStatus::Unknown
    }
}

impl fmt::Display for ProbeReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, out)
    }
}

/// A reason that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no reason that this version knows: operator and agent must be of versions that fit")]
pub struct UnknownReason(String);

impl FromStr for ProbeReason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        ALL.into_iter()
            .find(|reason| reason.to_string() == text)
            .ok_or_else(|| UnknownReason(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for reason in ALL {
            assert_eq!(reason.to_string().parse(), Ok(reason));
        }
        assert!("Finished".parse::<ProbeReason>().is_err());
    }
}
