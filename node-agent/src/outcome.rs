//! How watching a container ended, in the words of the API.

use leakhound_crds::{Time, probe::ProbeReason};
use leakhound_tracer::{investigation::InvestigationError, locate::LocateError};
use serde::{Deserialize, Serialize};

use crate::{
    clock,
    container::{ContainerError, Sandbox},
};

/// How a probe ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome {
    /// A [`ProbeReason`] by name.
    reason: String,
    /// For people, with the next step.
    pub(crate) message: String,
    /// When it ended.
    pub(crate) time: Time,
}

impl Outcome {
    /// It ended now.
    pub(crate) fn now(reason: ProbeReason, message: impl Into<String>) -> Self {
        let time = Time(clock::now());
        Self { reason: reason.to_string(), message: message.into(), time }
    }

    /// Why. A ticket of another version may hold a word that this one does not know.
    pub(crate) fn reason(&self) -> ProbeReason {
        self.reason.parse().unwrap_or(ProbeReason::AgentError)
    }
}

/// What a container that cannot be proven means for its probe.
pub(crate) fn of_container(error: &ContainerError) -> Outcome {
    let reason = match error {
        ContainerError::NotHere { .. } => ProbeReason::TargetGone,
        ContainerError::OtherPod { .. } | ContainerError::NotAnId(_) => ProbeReason::ContainerMismatch,
        ContainerError::NoHierarchy(_) | ContainerError::TooLarge(..) => ProbeReason::AgentError,
    };
    Outcome::now(reason, error.to_string())
}

/// What a sandbox means for the probe of a container in it.
pub(crate) fn of_sandbox(sandbox: Sandbox) -> Outcome {
    let runtime = match sandbox {
        Sandbox::GVisor => "gVisor",
        Sandbox::VirtualMachine => "a virtual machine (Kata Containers or alike)",
    };
    let message = format!(
        "the container runs in {runtime}, on a kernel of its own that cannot be seen from the node: run a copy of the pod without runtimeClassName"
    );
    Outcome::now(ProbeReason::UnsupportedRuntime, message)
}

/// What an error of the tracer means for the probe.
pub(crate) fn of_tracer(error: &InvestigationError) -> Outcome {
    let reason = match error {
        InvestigationError::NoAllocator { .. } | InvestigationError::OtherAllocators { .. } => {
            ProbeReason::AllocatorNotFound
        }
        InvestigationError::Seccomp { .. } | InvestigationError::Obstacle(_) => {
            ProbeReason::UnsupportedKernel
        }
        InvestigationError::Gone | InvestigationError::Locate(LocateError::Gone) => ProbeReason::TargetGone,
        InvestigationError::Locate(LocateError::Process(error)) if error.has_ended() => {
            ProbeReason::TargetGone
        }
        _ => ProbeReason::AgentError,
    };
    let message = match error {
        InvestigationError::NoAllocator { looked_at } => format!(
            "no known allocator in {looked_at}: give allocator {{type: Custom, symbolPrefix: ...}} for one with names of its \
             own, or use mode Growth, which watches the program's memory grow from outside"
        ),
        InvestigationError::OtherAllocators { .. } => {
            format!("{error}: correct spec.allocator, or leave it out to watch every one that is found")
        }
        _ => error.to_string(),
    };
    Outcome::now(reason, message)
}

/// That all of the time was watched, in so many stretches.
pub(crate) fn complete(stretches: u32) -> String {
    match stretches {
        0 | 1 => "all of the time was watched".to_owned(),
        _ => format!(
            "all of the time was watched, in {stretches} stretches with a gap between them; the longest is judged"
        ),
    }
}

/// How a container ended, in words.
pub(crate) fn gone(oom_kills: u64) -> String {
    match oom_kills {
        0 => "the container ended".to_owned(),
        _ => format!(
            "the container ended, after the kernel killed {oom_kills} of its processes for want of memory (OOM)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_become_reasons_that_tell_whose_turn_it_is() {
        let gone = ContainerError::NotHere { id: "3f4e".into() };
        assert_eq!(of_container(&gone).reason(), ProbeReason::TargetGone);
        assert_eq!(
            of_container(&ContainerError::NotAnId("x".into())).reason(),
            ProbeReason::ContainerMismatch
        );
        assert_eq!(of_sandbox(Sandbox::GVisor).reason(), ProbeReason::UnsupportedRuntime);
        for (error, reason) in [
            (InvestigationError::Obstacle("no BTF".into()), ProbeReason::UnsupportedKernel),
            (InvestigationError::Gone, ProbeReason::TargetGone),
            (InvestigationError::Locate(LocateError::Gone), ProbeReason::TargetGone),
            (InvestigationError::Locate(LocateError::NotAnId("x".into())), ProbeReason::AgentError),
        ] {
            let outcome = of_tracer(&error);
            assert_eq!((outcome.reason(), outcome.message), (reason, error.to_string()));
        }
    }

    #[test]
    fn an_allocator_that_is_not_there_says_which_field_to_change() {
        let none = of_tracer(&InvestigationError::NoAllocator { looked_at: "/app".into() });
        let other =
            InvestigationError::OtherAllocators { wanted: "musl".into(), there: "glibc in /libc.so".into() };
        let other = of_tracer(&other);
        for outcome in [&none, &other] {
            assert_eq!(outcome.reason(), ProbeReason::AllocatorNotFound);
        }
        assert!(none.message.contains("in /app: give allocator") && none.message.contains("mode Growth"));
        assert!(other.message.ends_with(
            "has glibc in /libc.so: correct spec.allocator, or leave it out to watch every one that is found"
        ));
    }

    #[test]
    fn words_of_another_version_are_an_error_of_the_agent() {
        let text = r#"{"reason":"Teleported","message":"","time":"2026-01-01T00:00:00Z"}"#;
        assert_eq!(serde_json::from_str::<Outcome>(text).unwrap().reason(), ProbeReason::AgentError);
    }
}
