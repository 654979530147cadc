//! A wish that cannot be granted, now or ever: a value that ends in a condition, never an error that is tried again.

use std::fmt;

/// Why a target cannot be watched, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// As one word.
    pub(crate) reason: Reason,
    /// As a sentence with the next step.
    pub(crate) message: String,
}

/// The word of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The namespace or the pod must not be investigated.
    Forbidden,
    /// No such pod.
    PodNotFound,
    /// No such workload.
    WorkloadNotFound,
    /// The labels fit no pod.
    NoPodMatches,
    /// The pod or its container does not run.
    NotRunning,
    /// The pod has no container of that name.
    NoSuchContainer,
    /// The pod has several containers, and nothing says which one is meant.
    ContainerNotNamed,
    /// The container runs on a kernel of its own.
    UnsupportedRuntime,
    /// The node's kernel, or what its agent may do there, lacks what the mode needs.
    UnsupportedKernel,
    /// No agent of ours is alive on the node.
    NoAgentOnNode,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// Whether waiting may help.
    pub(crate) fn may_pass(&self) -> bool {
        match self.reason {
            Reason::PodNotFound
            | Reason::WorkloadNotFound
            | Reason::NoPodMatches
            | Reason::NotRunning
            | Reason::NoAgentOnNode => true,
            Reason::Forbidden
            | Reason::NoSuchContainer
            | Reason::ContainerNotNamed
            | Reason::UnsupportedRuntime
            | Reason::UnsupportedKernel => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}
