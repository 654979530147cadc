use std::{collections::BTreeMap, sync::Arc};

use leakhound_crds::{
    Condition, ConditionStatus, LeakInvestigation,
    condition::{SUCCEEDED, SUSPENDED, find},
    probe::ProbeReason,
};

use super::*;
use crate::{
    controller::resolve::Surroundings,
    fixture::{NODE, after, id, investigation, node, now, pod, probe, says, told_to_stop},
    node::{AgentView, NodeView},
    queue::Full,
    refusal::Reason,
};

mod ending;
mod late;

const URL: &str = "http://reports";

fn observed() -> Observed {
    Observed {
        investigation: Arc::new(investigation()),
        probes: Vec::new(),
        barred: None,
        candidates: None,
        surroundings: Surroundings {
            nodes: BTreeMap::from([(NODE.to_owned(), node(AgentView::Alive))]),
            ..Surroundings::default()
        },
        pods: BTreeMap::from([("uid-cart-1".to_owned(), PodNow::There(Box::new(pod("cart-1"))))]),
        turns: BTreeMap::from([(("uid-cart-1".to_owned(), "app".to_owned()), Turn::Now)]),
        stored: None,
        now: after(10),
    }
}

fn looked() -> Observed {
    let candidates = Candidates::Pod { name: "cart-1".to_owned(), pod: Some(pod("cart-1")) };
    Observed { candidates: Some(candidates), ..observed() }
}

impl Observed {
    fn with(mut self, change: impl FnOnce(&mut LeakInvestigation)) -> Self {
        change(Arc::make_mut(&mut self.investigation));
        self
    }

    /// As if the plan had been carried out and the API had answered.
    fn after(self, plan: &Plan) -> Self {
        let status = plan.status.clone();
        self.with(|investigation| investigation.status = Some(status))
    }

    fn probed(mut self, change: impl FnOnce(LeakProbe) -> LeakProbe) -> Self {
        self.probes = vec![Arc::new(change(probe(&self.investigation, "cart-1")))];
        self
    }
}

fn reason(plan: &Plan) -> String {
    let succeeded = find(&plan.status.conditions, SUCCEEDED).unwrap();
    format!("{} {}", succeeded.status, succeeded.reason)
}

/// A started investigation whose status is up to date with its probe.
fn running(change: impl FnOnce(LeakProbe) -> LeakProbe) -> Observed {
    let first = looked();
    let chosen = plan(&first, URL);
    Observed { candidates: None, ..first.after(&chosen) }.probed(change)
}

#[test]
fn the_target_is_written_down_before_its_probe_is_ordered() {
    let first = looked();
    let chosen = plan(&first, URL);
    assert_eq!(chosen.actions, [], "nobody would know whose probe it is");
    assert_eq!(reason(&chosen), "Unknown Pending");
    assert_eq!(chosen.status.targets[0].reason.as_deref(), Some("Queued"));
    let second = plan(&first.after(&chosen), URL);
    let [Action::Start(order)] = second.actions.as_slice() else { panic!("{:?}", second.actions) };
    assert_eq!(order.spec.container_id, id(1));
    assert_eq!(order.spec.profile.duration, "10m");
    assert_eq!(order.spec.deadline_time.0, after(10 + 600 + 300 + 60));
    assert_eq!(order.metadata.owner_references, None, "across namespaces they would have it collected");
    assert_eq!(order.metadata.name, probe(&investigation(), "cart-1").metadata.name, "twice the same");
}

#[test]
fn whoever_has_to_wait_knows_why() {
    let mut first = looked();
    let key = ("uid-cart-1".to_owned(), "app".to_owned());
    first.turns.insert(key, Turn::Later { ahead: 2, full: Full::Node });
    let chosen = plan(&first, URL);
    assert_eq!(reason(&chosen), "Unknown Queued");
    let message = &find(&chosen.status.conditions, SUCCEEDED).unwrap().message;
    assert_eq!(message, "position 3 in the queue: node n1 has as many probes as it may");
    let second = first.after(&chosen);
    assert_eq!(plan(&second, URL).actions, []);
    let late = plan(&Observed { now: after(301), ..second }, URL);
    assert_eq!(reason(&late), "False DeadlineExceeded");
    let message = &find(&late.status.conditions, SUCCEEDED).unwrap().message;
    assert!(message.contains("2 others were ahead"), "{message}");
}

#[test]
fn what_may_come_right_is_waited_for_and_what_cannot_is_over() {
    let none = Candidates::Pod { name: "cart-1".to_owned(), pod: None };
    let missing = Observed { candidates: Some(none), ..observed() };
    let waiting = plan(&missing, URL);
    assert_eq!(reason(&waiting), "Unknown Pending");
    assert_eq!(find(&waiting.status.conditions, "TargetsResolved").unwrap().reason, "PodNotFound");
    assert!(waiting.wake.unwrap() >= SignedDuration::from_secs(5), "{:?}", waiting.wake);
    let late = plan(&Observed { now: after(300), ..missing.after(&waiting) }, URL);
    assert_eq!(reason(&late), "False PodNotFound");
    assert!(late.status.completion_time.is_some());
    assert_eq!(late.wake, None);

    let absent = NodeView { taints: vec!["gpu:NoSchedule".to_owned()], ..node(AgentView::Absent) };
    let mut alone = looked();
    alone.surroundings.nodes.insert(NODE.to_owned(), absent);
    assert_eq!(reason(&plan(&alone, URL)), "Unknown Pending");
    assert_eq!(reason(&plan(&Observed { now: after(300), ..alone }, URL)), "False NoAgentOnNode");

    let barred = Refusal::new(Reason::Forbidden, "no");
    assert_eq!(reason(&plan(&Observed { barred: Some(barred), ..looked() }, URL)), "False Forbidden");
}

/// The pod after its container was killed for want of memory and started again as another one.
fn killed(container: u8, runs: u8) -> PodNow {
    let mut killed = pod("cart-1");
    killed.containers[0].oom_killed = vec![id(container)];
    killed.containers[0].running = Some(id(runs));
    PodNow::There(Box::new(killed))
}

#[test]
fn a_kill_for_want_of_memory_is_noted_once_and_stays() {
    let kills = |plan: &Plan| plan.status.targets[0].memory.as_ref().and_then(|memory| memory.oom_kills);
    let mut first = running(|probe| says(probe, ProbeReason::Running, 5, now()));
    assert_eq!(kills(&plan(&first, URL)), None);
    first.pods.insert("uid-cart-1".to_owned(), killed(1, 2));
    let seen = plan(&first, URL);
    let [Action::NoteKills { probe, killed: ids }, Action::Follow { container_id, .. }] =
        seen.actions.as_slice()
    else {
        panic!("{:?}", seen.actions)
    };
    assert_eq!((probe, ids), (first.probes[0].metadata.name.as_ref().unwrap(), &vec![id(1)]));
    assert_eq!((kills(&seen), container_id), (Some(1), &id(2)));

    // The agent follows, and the pod goes on telling of the first kill.
    let noted = |ids: &str, runs: u8| {
        let mut probe = LeakProbe::clone(&first.probes[0]);
        probe.metadata.annotations.as_mut().unwrap().insert(oom::NOTE.to_owned(), ids.to_owned());
        probe.spec.container_id = id(runs);
        vec![Arc::new(probe)]
    };
    let second = Observed { probes: noted(&id(1), 2), ..first.clone() }.after(&seen);
    let again = plan(&second, URL);
    assert_eq!((kills(&again), again.actions.len()), (Some(1), 0), "{:?}", again.actions);

    // Then its successor is killed, too, and the kubelet forgets the first.
    let mut third = second.after(&again);
    third.pods.insert("uid-cart-1".to_owned(), killed(2, 3));
    let twice = plan(&third, URL);
    assert_eq!(kills(&twice), Some(2));
    let Some(Action::NoteKills { killed: ids, .. }) = twice.actions.first() else {
        panic!("{:?}", twice.actions)
    };
    assert_eq!(ids, &vec![id(1), id(2)]);
    let fourth = Observed { probes: noted(&ids.join(","), 3), ..third }.after(&twice);
    assert_eq!(kills(&plan(&fourth, URL)), Some(2));
}

#[test]
fn time_under_suspend_does_not_count() {
    let held = observed().with(|investigation| investigation.spec.suspend = true);
    let suspended = plan(&held, URL);
    assert_eq!(reason(&suspended), "Unknown Suspended");
    assert_eq!(suspended.wake, None, "a change wakes it");
    let long_after = Observed { now: after(10_000), ..held.after(&suspended) };
    assert_eq!(reason(&plan(&long_after, URL)), "Unknown Suspended");
    let resumed = Observed { candidates: looked().candidates, ..long_after }
        .with(|investigation| investigation.spec.suspend = false);
    assert_eq!(reason(&plan(&resumed, URL)), "Unknown Pending");
}

#[test]
fn a_resumed_investigation_watches_for_the_time_that_is_left() {
    let paused = running(|probe| told_to_stop(says(probe, ProbeReason::StoppedEarly, 400, now())));
    let suspended = paused.clone().with(|investigation| investigation.spec.suspend = true);
    let plan_suspended = plan(&suspended, URL);
    assert_eq!((reason(&plan_suspended).as_str(), plan_suspended.actions.len()), ("Unknown Suspended", 0));
    let suspended_condition = find(&plan_suspended.status.conditions, SUSPENDED).unwrap();
    assert_eq!(
        (suspended_condition.status, plan_suspended.status.probed_seconds),
        (ConditionStatus::True, Some(400))
    );
    let again = plan(&paused, URL);
    let [Action::Start(order)] = again.actions.as_slice() else { panic!("{:?}", again.actions) };
    assert_eq!(
        (order.spec.profile.duration.as_str(), order.spec.profile.snapshot_interval.as_str()),
        ("3m20s", "30s")
    );
    assert_ne!(order.metadata.name, paused.probes[0].metadata.name, "another stretch, another probe");
}

#[test]
fn a_restarted_container_is_followed() {
    let mut restarted = running(|probe| says(probe, ProbeReason::Running, 20, now()));
    let mut successor = pod("cart-1");
    successor.containers[0].running = Some(id(2));
    successor.containers[0].restarts = 1;
    restarted.pods.insert("uid-cart-1".to_owned(), PodNow::There(Box::new(successor)));
    let follow = plan(&restarted, URL);
    assert!(
        matches!(follow.actions.as_slice(), [Action::Follow { container_id, .. }] if *container_id == id(2))
    );
    assert_eq!(follow.status.targets[0].restarts, 1);
    let finish = restarted.with(|investigation| {
        investigation.spec.on_container_restart = OnContainerRestart::Finish;
    });
    assert_eq!(plan(&finish, URL).actions, [], "the agent finishes by itself");
}

#[test]
fn clocks_that_jump_change_nothing_that_was_said() {
    let ahead = running(|probe| says(probe, ProbeReason::Running, 20, after(100_000)));
    for now in [after(-100_000), after(0), after(500)] {
        let plan = plan(&Observed { now, ..ahead.clone() }, URL);
        assert_eq!((reason(&plan).as_str(), plan.actions.len()), ("Unknown Running", 0));
    }
}

#[test]
fn planning_twice_gives_the_same_status() {
    let first = looked();
    let chosen = plan(&first, URL);
    let second = Observed { now: after(11), ..first.after(&chosen) };
    assert_eq!(plan(&second, URL).status, chosen.status, "no write without a change");
}
