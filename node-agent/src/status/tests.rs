use leakhound_crds::condition::find;

use super::*;
use crate::fixture::noon;

fn speaker() -> Speaker {
    Speaker { pod: "leakhound-agent-x".into(), run: "run-2".into() }
}

fn word(reason: ProbeReason, upload: Option<Upload>) -> Word {
    Word {
        generation: Some(3),
        reason,
        message: "why".into(),
        start_time: Some(Time(noon())),
        last_snapshot: None,
        watched: Duration::from_millis(61_900),
        digest: Some("{}".into()),
        upload,
    }
}

#[test]
fn one_word_is_the_whole_status() {
    let status = compose(&word(ProbeReason::Running, None), &speaker(), &[], noon());
    assert_eq!((status.observed_generation, status.coverage_seconds), (Some(3), Some(61)));
    assert_eq!(status.agent_pod.as_deref(), Some("leakhound-agent-x"));
    assert_eq!(status.agent_boot_id.as_deref(), Some("run-2"));
    assert_eq!((status.digest.as_deref(), status.result_digest), (Some("{}"), None));
    let succeeded = find(&status.conditions, SUCCEEDED).unwrap();
    assert_eq!((succeeded.status, succeeded.reason.as_str()), (ConditionStatus::Unknown, "Running"));
    assert_eq!(succeeded.observed_generation, Some(3));
    assert!(find(&status.conditions, RECORDING_UPLOADED).is_none());
}

#[test]
fn what_became_of_the_recording_is_told() {
    let stored = Some(Upload::Stored("sha256:ab".into()));
    let status = compose(&word(ProbeReason::Completed, stored), &speaker(), &[], noon());
    assert_eq!(status.result_digest.as_deref(), Some("sha256:ab"));
    let uploaded = find(&status.conditions, RECORDING_UPLOADED).unwrap();
    assert_eq!((uploaded.status, uploaded.reason.as_str()), (ConditionStatus::True, "Stored"));

    let missing = Some(Upload::Missing { reason: "TooLarge", message: "too large".into() });
    let status = compose(&word(ProbeReason::Completed, missing), &speaker(), &[], noon());
    let uploaded = find(&status.conditions, RECORDING_UPLOADED).unwrap();
    assert_eq!((uploaded.status, uploaded.reason.as_str()), (ConditionStatus::False, "TooLarge"));
    assert_eq!(status.result_digest, None);
}

#[test]
fn times_change_with_what_they_are_about() {
    let later = noon().checked_add(Duration::from_secs(30)).unwrap();
    let first = compose(&word(ProbeReason::Pending, None), &speaker(), &[], noon());
    let running = compose(&word(ProbeReason::Running, None), &speaker(), &first.conditions, later);
    assert_eq!(running.conditions[0].last_transition_time, Time(noon()));
    let same = compose(&word(ProbeReason::Running, None), &speaker(), &running.conditions, later);
    assert_eq!(same, running, "said twice, it is the same");
    let done = compose(&word(ProbeReason::Completed, None), &speaker(), &running.conditions, later);
    assert_eq!(done.conditions[0].last_transition_time, Time(later));
}

#[test]
fn conditions_of_others_are_not_taken_over() {
    let other = Condition::new("Other", ConditionStatus::True, "Reason", "", noon());
    let status = compose(&word(ProbeReason::Running, None), &speaker(), &[other], noon());
    assert_eq!(status.conditions.len(), 1);
}
