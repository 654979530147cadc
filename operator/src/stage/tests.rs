use std::collections::BTreeMap;

use leakhound_crds::{LeakInvestigation, probe::ProbeReason::*};

use super::*;
use crate::{
    fixture::{after, container, id, investigation, node, now, pod, probe, says, told_to_stop},
    pod::ContainerView,
};

struct Scene {
    investigation: LeakInvestigation,
    probes: Vec<LeakProbe>,
    pod: PodNow,
    node: Option<NodeView>,
    now: Timestamp,
}

impl Scene {
    fn of(probes: Vec<LeakProbe>) -> Self {
        let pod = PodNow::There(Box::new(pod("cart-1")));
        Self {
            investigation: investigation(),
            probes,
            pod,
            node: Some(node(AgentView::Alive)),
            now: after(60),
        }
    }

    fn stage(&self) -> Stage {
        let probes: Vec<&LeakProbe> = self.probes.iter().collect();
        let sight = Sight {
            spec: &self.investigation.spec,
            container: "app",
            probes: &probes,
            pod: &self.pod,
            node: self.node.as_ref(),
            now: self.now,
        };
        sight.stage()
    }

    fn end(&self) -> EndReason {
        match self.stage() {
            Stage::Ended(end) => end.reason,
            stage => panic!("{stage}"),
        }
    }
}

fn first() -> LeakProbe {
    probe(&investigation(), "cart-1")
}

fn restarted() -> PodNow {
    let mut pod = pod("cart-1");
    pod.containers = vec![ContainerView { running: Some(id(2)), restarts: 1, ..container("app") }];
    PodNow::There(Box::new(pod))
}

#[test]
fn without_a_probe_the_wishes_decide() {
    let mut scene = Scene::of(Vec::new());
    assert_eq!(scene.stage(), Stage::Waiting);
    scene.investigation.spec.suspend = true;
    assert_eq!(scene.stage(), Stage::Suspended);
    scene.investigation.spec.stop = true;
    assert_eq!(scene.end(), EndReason::StoppedEarly);
}

#[test]
fn an_open_probe_is_what_the_agent_says() {
    let mut scene = Scene::of(vec![first()]);
    assert_eq!(scene.stage(), Stage::Starting);
    scene.probes = vec![says(first(), Pending, 0, now())];
    assert_eq!(scene.stage(), Stage::Starting);
    scene.probes = vec![says(first(), Running, 20, now())];
    assert_eq!(scene.stage(), Stage::Probing);
    scene.probes = vec![told_to_stop(says(first(), Running, 20, now()))];
    assert_eq!(scene.stage(), Stage::Stopping);
}

#[test]
fn the_agents_last_word_is_the_end() {
    for (reason, end) in [
        (Completed, EndReason::Completed),
        (StoppedEarly, EndReason::StoppedEarly),
        (TargetGone, EndReason::TargetGone),
        (DeadlineExceeded, EndReason::DeadlineExceeded),
        (AgentError, EndReason::AgentError),
        (AllocatorNotFound, EndReason::AllocatorNotFound),
        (UnsupportedRuntime, EndReason::UnsupportedRuntime),
        (UnsupportedKernel, EndReason::UnsupportedKernel),
        (ContainerMismatch, EndReason::ContainerMismatch),
    ] {
        let scene = Scene::of(vec![says(first(), reason, 60, now())]);
        assert_eq!(scene.end(), end, "{reason}");
        assert!(matches!(scene.stage(), Stage::Ended(end) if end.message.contains("the agent says")));
    }
}

#[test]
fn a_pause_leads_to_another_stretch_of_time() {
    let paused = || vec![told_to_stop(says(first(), StoppedEarly, 60, now()))];
    let mut scene = Scene::of(paused());
    assert_eq!(scene.stage(), Stage::Waiting, "resumed");
    scene.investigation.spec.suspend = true;
    assert_eq!(scene.stage(), Stage::Suspended);
    scene.pod = PodNow::Gone;
    assert_eq!(scene.end(), EndReason::TargetGone);
    scene = Scene::of(paused());
    scene.investigation.spec.stop = true;
    assert_eq!(scene.end(), EndReason::StoppedEarly);
    scene = Scene::of(vec![told_to_stop(says(first(), StoppedEarly, 590, now()))]);
    assert_eq!(scene.end(), EndReason::Completed, "too little is left");
    scene = Scene::of(vec![says(first(), StoppedEarly, 60, now())]);
    assert_eq!(scene.end(), EndReason::StoppedEarly, "the agent stopped by itself");
}

#[test]
fn a_restart_is_followed_finished_or_a_failure() {
    let mut scene = Scene::of(vec![says(first(), TargetGone, 60, now())]);
    scene.pod = restarted();
    assert_eq!(scene.stage(), Stage::Waiting);
    scene.investigation.spec.on_container_restart = OnContainerRestart::Finish;
    assert_eq!(scene.end(), EndReason::TargetGone);
    scene.investigation.spec.on_container_restart = OnContainerRestart::Fail;
    assert_eq!(scene.end(), EndReason::ContainerRestarted);
    scene.probes = vec![says(first(), Running, 60, now())];
    assert_eq!(scene.end(), EndReason::ContainerRestarted, "at once");
    scene = Scene::of(vec![says(first(), TargetGone, 60, now())]);
    scene.pod = PodNow::Gone;
    assert_eq!(scene.end(), EndReason::TargetGone);
}

#[test]
fn a_stop_after_a_restart_is_no_pause() {
    let mut scene = Scene::of(vec![told_to_stop(says(first(), StoppedEarly, 60, now()))]);
    scene.investigation.spec.on_container_restart = OnContainerRestart::Fail;
    assert_eq!(scene.stage(), Stage::Waiting, "the same container: a pause");
    scene.pod = PodNow::Unknown;
    assert_eq!(scene.stage(), Stage::Waiting, "somebody has to look first");
    scene.pod = restarted();
    assert_eq!(scene.end(), EndReason::ContainerRestarted, "it ended so, and was told to stop then");
    scene.investigation.spec.suspend = true;
    assert_eq!(scene.end(), EndReason::ContainerRestarted, "while it was suspended");
    scene.investigation.spec.on_container_restart = OnContainerRestart::Finish;
    assert_eq!(scene.end(), EndReason::TargetGone);
    scene.investigation.spec.on_container_restart = OnContainerRestart::Follow;
    assert_eq!(scene.stage(), Stage::Suspended, "the next stretch follows it");
    scene.probes = vec![told_to_stop(says(first(), StoppedEarly, 590, now()))];
    scene.investigation.spec.on_container_restart = OnContainerRestart::Fail;
    assert_eq!(scene.end(), EndReason::ContainerRestarted, "however little is left");
}

#[test]
fn the_kubelet_is_given_time_to_say_how_a_container_ended() {
    let mut scene = Scene::of(vec![says(first(), TargetGone, 60, now())]);
    scene.now = after(10);
    assert_eq!(scene.stage(), Stage::Ending, "the pod still says that it runs");
    scene.now = after(31);
    assert_eq!(scene.end(), EndReason::TargetGone, "and never says anything else");
    scene.now = after(10);
    scene.investigation.spec.stop = true;
    assert_eq!(scene.end(), EndReason::TargetGone, "nobody wants to wait");
}

#[test]
fn a_container_that_was_killed_for_want_of_memory_is_said_to_be() {
    let mut scene = Scene::of(vec![says(first(), TargetGone, 60, now())]);
    scene.investigation.spec.on_container_restart = OnContainerRestart::Finish;
    let mut killed = pod("cart-1");
    killed.containers[0].running = None;
    killed.containers[0].oom_killed = vec![id(1)];
    killed.containers[0].memory_limit = Some(192 << 20);
    scene.pod = PodNow::There(Box::new(killed.clone()));
    let message = |scene: &Scene| match scene.stage() {
        Stage::Ended(End { message, .. }) => message,
        stage => panic!("{stage}"),
    };
    assert!(
        message(&scene).contains("killed container app for want of memory (OOMKilled) at its limit of 192")
    );
    scene.investigation.spec.on_container_restart = OnContainerRestart::Fail;
    assert!(message(&scene).contains("(OOMKilled)"), "{}", message(&scene));
    // Of a container that was never watched nothing is said.
    killed.containers[0].oom_killed = vec![id(2)];
    scene.pod = PodNow::There(Box::new(killed));
    assert!(!message(&scene).contains("OOMKilled"), "{}", message(&scene));
    // What was noted stays when the pod is gone.
    let noted = BTreeMap::from([(oom::NOTE.to_owned(), id(1))]);
    scene.probes[0].metadata.annotations = Some(noted);
    scene.pod = PodNow::Gone;
    assert!(message(&scene).contains("(OOMKilled)"), "{}", message(&scene));
}

#[test]
fn nodes_and_agents_get_lost() {
    let silent = AgentView::Silent(SignedDuration::from_secs(90));
    let mut scene = Scene::of(vec![says(first(), Running, 60, now())]);
    scene.node = Some(node(silent));
    assert_eq!(scene.stage(), Stage::Probing, "an agent may be replaced while its node is well");
    scene.node = Some(NodeView { is_ready: false, ..node(silent) });
    assert_eq!(scene.end(), EndReason::NodeLost);
    scene.node = Some(NodeView { exists: false, ..node(AgentView::Absent) });
    assert_eq!(scene.end(), EndReason::NodeLost);
    scene = Scene::of(vec![first()]);
    scene.node = Some(node(AgentView::Absent));
    assert_eq!(scene.stage(), Stage::Starting);
    scene.now = after(301);
    assert_eq!(scene.end(), EndReason::NoAgentOnNode);
}

#[test]
fn after_the_deadline_nobody_is_waited_for() {
    let mut scene = Scene::of(vec![says(first(), Running, 60, now())]);
    scene.now = after(600 + 300 + 60 + 29);
    assert_eq!(scene.stage(), Stage::Probing);
    scene.now = after(600 + 300 + 60 + 31);
    assert_eq!(scene.end(), EndReason::NodeLost);
}
