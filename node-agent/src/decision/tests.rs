use leakhound_crds::{
    Condition, ConditionStatus, Time,
    investigation::wishes::{OnAgentRestart, OnContainerRestart},
};

use super::*;
use crate::{
    fixture::{noon, probe},
    spool::Epoch,
};

const US: &str = "this-run";
const SECOND: Duration = Duration::from_secs(1);

fn with_status(reason: ProbeReason, run: &str, coverage: i64) -> LeakProbe {
    let mut probe = probe();
    let condition = Condition::new(SUCCEEDED, ConditionStatus::Unknown, &reason.to_string(), "", noon());
    probe.status = Some(LeakProbeStatus {
        observed_generation: Some(1),
        agent_boot_id: Some(run.into()),
        coverage_seconds: Some(coverage),
        conditions: vec![condition],
        ..LeakProbeStatus::default()
    });
    probe
}

fn ticket(watched_ms: u64) -> Ticket {
    let epoch =
        Epoch { number: 1, container_id: "x".into(), watched_ms, lost: None, stored: None, digest: None };
    Ticket { epochs: vec![epoch], ..Ticket::default() }
}

fn ended(begin: &Begin) -> Option<ProbeReason> {
    match begin {
        Begin::Finish(outcome) => Some(outcome.reason()),
        _ => None,
    }
}

#[test]
fn a_new_probe_is_watched_for_all_of_its_time() {
    let wanted = Begin::Watch { left: 600 * SECOND, again: false };
    assert_eq!(begin(&probe(), None, US, noon()), wanted);
    assert_eq!(begin(&with_status(ProbeReason::Pending, "another-run", 0), None, US, noon()), wanted);
}

#[test]
fn what_is_over_is_left_alone() {
    for reason in [
        ProbeReason::Completed,
        ProbeReason::StoppedEarly,
        ProbeReason::TargetGone,
        ProbeReason::DeadlineExceeded,
        ProbeReason::AgentError,
        ProbeReason::ContainerMismatch,
    ] {
        assert_eq!(
            begin(&with_status(reason, "another-run", 60), None, US, noon()),
            Begin::Nothing,
            "{reason}"
        );
    }
}

#[test]
fn what_was_not_brought_to_its_end_is_delivered_first() {
    let outcome = Outcome::now(ProbeReason::Completed, "all of the time was watched");
    let kept = Ticket { outcome: Some(outcome.clone()), ..ticket(600_000) };
    for probe in
        [with_status(ProbeReason::Running, "another-run", 590), with_status(ProbeReason::Completed, US, 600)]
    {
        assert_eq!(begin(&probe, Some(&kept), US, noon()), Begin::Finish(outcome.clone()));
    }
}

#[test]
fn after_a_restart_of_the_agent_the_user_decides() {
    let restarted = |policy| {
        let mut probe = with_status(ProbeReason::Running, "another-run", 240);
        probe.spec.profile.on_agent_restart = policy;
        begin(&probe, None, US, noon())
    };
    assert_eq!(restarted(OnAgentRestart::Resume), Begin::Watch { left: 360 * SECOND, again: true });
    assert_eq!(ended(&restarted(OnAgentRestart::Finish)), Some(ProbeReason::StoppedEarly));
    assert_eq!(ended(&restarted(OnAgentRestart::Fail)), Some(ProbeReason::AgentError));
    // nothing was seen that could be a result
    let mut unseen = with_status(ProbeReason::Running, "another-run", 0);
    unseen.spec.profile.on_agent_restart = OnAgentRestart::Finish;
    assert_eq!(ended(&begin(&unseen, None, US, noon())), Some(ProbeReason::AgentError));
    // the spool may know more than the status
    let probe = with_status(ProbeReason::Running, "another-run", 240);
    let known = begin(&probe, Some(&ticket(248_500)), US, noon());
    assert_eq!(known, Begin::Watch { left: Duration::from_millis(351_500), again: true });
    let mut resumed = ticket(200_000);
    resumed.note(Epoch { number: 2, ..ticket(100_000).epochs[0].clone() });
    let known = begin(&probe, Some(&resumed), US, noon());
    assert_eq!(known, Begin::Watch { left: 300 * SECOND, again: true });
    let all = begin(&probe, Some(&ticket(600_000)), US, noon());
    assert_eq!(ended(&all), Some(ProbeReason::Completed));
}

#[test]
fn stop_and_deadline_end_what_nobody_works_on() {
    let mut stopped = probe();
    stopped.spec.desired = Desired::Stop;
    assert_eq!(ended(&begin(&stopped, None, US, noon())), Some(ProbeReason::StoppedEarly));
    assert_eq!(wish(&stopped), Wish::Stop);
    let late = noon().checked_add(900 * SECOND).unwrap();
    assert_eq!(ended(&begin(&probe(), None, US, late)), Some(ProbeReason::DeadlineExceeded));
    let mut broken = probe();
    broken.spec.profile.duration = "ten minutes".into();
    assert_eq!(ended(&begin(&broken, None, US, noon())), Some(ProbeReason::AgentError));
}

#[test]
fn the_next_container_is_followed_when_it_is_named() {
    let gone = |policy, generation| {
        let mut probe = with_status(ProbeReason::TargetGone, US, 60);
        probe.metadata.generation = Some(generation);
        probe.spec.profile.on_container_restart = policy;
        begin(&probe, None, US, noon())
    };
    let followed = Begin::Watch { left: 540 * SECOND, again: true };
    assert_eq!(gone(OnContainerRestart::Follow, 2), followed);
    assert_eq!(gone(OnContainerRestart::Follow, 1), Begin::Nothing);
    assert_eq!(gone(OnContainerRestart::Finish, 2), Begin::Nothing);
    let mut completed = with_status(ProbeReason::Completed, US, 600);
    completed.metadata.generation = Some(2);
    assert_eq!(begin(&completed, None, US, noon()), Begin::Nothing);
    let mut expired = with_status(ProbeReason::TargetGone, US, 60);
    expired.metadata.generation = Some(2);
    expired.spec.deadline_time = Time(noon());
    assert_eq!(begin(&expired, None, US, noon()), Begin::Nothing);
}
