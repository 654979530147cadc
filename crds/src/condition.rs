//! Conditions: what is true of an object, since when, and what to do about it.

use std::fmt;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The summary of both kinds: `Unknown` while running, `True` with a result, `False` without one.
pub const SUCCEEDED: &str = "Succeeded";
/// Of an investigation: its target has been found, or why not.
pub const TARGETS_RESOLVED: &str = "TargetsResolved";
/// Of an investigation: probes are on.
pub const PROBING: &str = "Probing";
/// Of an investigation: the report can be read.
pub const REPORT_READY: &str = "ReportReady";
/// Of an investigation: a leak was found.
pub const LEAK_DETECTED: &str = "LeakDetected";
/// Of an investigation: watching cost more than its budget.
pub const BUDGET_EXCEEDED: &str = "BudgetExceeded";
/// Of an investigation: it is held by `spec.suspend`.
pub const SUSPENDED: &str = "Suspended";
/// Of a probe: the operator has its recording, or why not.
pub const RECORDING_UPLOADED: &str = "RecordingUploaded";

/// Longest message, in characters.
const MESSAGE_LIMIT: usize = 1024;

/// One statement about an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What the statement is about, such as Succeeded.
    #[serde(rename = "type")]
    #[schemars(length(max = 64), regex(pattern = r"^[A-Z][A-Za-z0-9]*$"))]
    pub type_: String,
    /// Whether it holds: True, False or Unknown.
    pub status: ConditionStatus,
    /// Why, as one word for programs.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Z][A-Za-z0-9]*$"))]
    pub reason: String,
    /// Why, as a sentence for people, with the next step where there is one.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// The metadata.generation that the statement is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Since when the status has been what it is.
    pub last_transition_time: Time,
}

impl Condition {
    /// A condition that became so `now`; a message beyond 1024 characters is cut and ends in `...`.
    pub fn new(type_: &str, status: ConditionStatus, reason: &str, message: &str, now: Timestamp) -> Self {
        let message = if message.chars().count() > MESSAGE_LIMIT {
            message.chars().take(MESSAGE_LIMIT - 3).chain("...".chars()).collect()
        } else {
            message.to_owned()
        };
        Self {
            type_: type_.to_owned(),
            status,
            reason: reason.to_owned(),
            message,
            observed_generation: None,
            last_transition_time: Time(now),
        }
    }

    /// The same statement, said of one generation of the object.
    #[must_use]
    pub fn of_generation(mut self, generation: Option<i64>) -> Self {
        self.observed_generation = generation;
        self
    }
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody knows yet.
    Unknown,
}

impl fmt::Display for ConditionStatus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, out)
    }
}

/// The condition of a type, where there is one.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Puts a condition in its place. Where the status stays the same, so does the time of its last change.
pub fn set(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|condition| condition.type_ == new.type_) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time = old.last_transition_time.clone();
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn time_moves_only_with_the_status() {
        let mut conditions = Vec::new();
        set(&mut conditions, Condition::new(SUCCEEDED, ConditionStatus::Unknown, "Pending", "", at(1)));
        set(&mut conditions, Condition::new(SUCCEEDED, ConditionStatus::Unknown, "Running", "", at(2)));
        assert_eq!((conditions[0].reason.as_str(), conditions[0].last_transition_time.0), ("Running", at(1)));
        set(&mut conditions, Condition::new(SUCCEEDED, ConditionStatus::True, "Completed", "", at(3)));
        assert_eq!((conditions.len(), conditions[0].last_transition_time.0), (1, at(3)));
        assert!(find(&conditions, PROBING).is_none());
    }

    #[test]
    fn long_messages_are_cut_by_characters() {
        let condition = Condition::new(PROBING, ConditionStatus::False, "Long", &"ü".repeat(2000), at(0));
        assert_eq!(condition.message.chars().count(), 1024);
        assert!(condition.message.ends_with("ü..."));
    }
}
