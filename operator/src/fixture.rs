//! Objects for tests: one investigation of one pod on one node, in whatever state.

use jiff::{SignedDuration, Timestamp};
use leakhound_crds::{
    Condition, Digest, Finding, LeakInvestigation, LeakInvestigationSpec, LeakProbe, LeakProbeStatus, Time,
    Verdict,
    condition::SUCCEEDED,
    digest,
    investigation::{Target as Wish, status::WatchedTarget},
    probe::{Desired, ProbeReason},
};

use crate::{
    controller::resolve::Target,
    node::{AgentView, NodeView},
    order::order,
    pod::{ContainerView, PodView},
};

pub(crate) const NODE: &str = "n1";

pub(crate) fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn after(seconds: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

/// The id of the `number`th container.
pub(crate) fn id(number: u8) -> String {
    format!("containerd://{}", format!("{number:02x}").repeat(32))
}

pub(crate) fn investigation() -> LeakInvestigation {
    let mut investigation = LeakInvestigation::new("cart", LeakInvestigationSpec::of(Wish::pod("cart-1")));
    let metadata = &mut investigation.metadata;
    metadata.namespace = Some("shop".to_owned());
    metadata.uid = Some("00000000-0000-0000-0000-000000000001".to_owned());
    metadata.generation = Some(1);
    metadata.resource_version = Some("1".to_owned());
    metadata.creation_timestamp = Some(Time(now()));
    investigation
}

pub(crate) fn pod(name: &str) -> PodView {
    PodView {
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        node: Some(NODE.to_owned()),
        created: Some(now()),
        phase: "Running".to_owned(),
        containers: vec![container("app")],
        ..PodView::default()
    }
}

pub(crate) fn container(name: &str) -> ContainerView {
    ContainerView { name: name.to_owned(), running: Some(id(1)), ..ContainerView::default() }
}

pub(crate) fn node(agent: AgentView) -> NodeView {
    NodeView { name: NODE.to_owned(), exists: true, is_ready: true, agent, ..NodeView::default() }
}

pub(crate) fn watched(pod: &str) -> WatchedTarget {
    WatchedTarget {
        pod_name: pod.to_owned(),
        pod_uid: format!("uid-{pod}"),
        container: "app".to_owned(),
        container_id: Some(id(1)),
        node_name: Some(NODE.to_owned()),
        ..WatchedTarget::default()
    }
}

pub(crate) fn target(pod: &str) -> Target {
    Target {
        pod_name: pod.to_owned(),
        pod_uid: format!("uid-{pod}"),
        node: NODE.to_owned(),
        container: "app".to_owned(),
        container_id: id(1),
        restarts: 0,
        static_hash: None,
    }
}

/// The first probe of a pod, as the API has it right after the order.
pub(crate) fn probe(investigation: &LeakInvestigation, pod: &str) -> LeakProbe {
    let duration = investigation.spec.duration().unwrap();
    let mut probe = order(investigation, &target(pod), 0, duration, 0, now()).unwrap();
    probe.metadata.uid = Some(format!("probe-{pod}"));
    probe.metadata.creation_timestamp = Some(Time(now()));
    probe
}

/// What an agent says of it.
pub(crate) fn says(
    mut probe: LeakProbe,
    reason: ProbeReason,
    coverage_seconds: i64,
    at: Timestamp,
) -> LeakProbe {
    let message = format!("the agent says {reason}");
    let condition = Condition::new(SUCCEEDED, reason.succeeded(), &reason.to_string(), &message, at);
    let begun = !matches!(reason, ProbeReason::Pending);
    probe.status = Some(LeakProbeStatus {
        start_time: begun.then(|| Time(now())),
        coverage_seconds: Some(coverage_seconds),
        conditions: vec![condition],
        ..LeakProbeStatus::default()
    });
    probe
}

pub(crate) fn told_to_stop(mut probe: LeakProbe) -> LeakProbe {
    probe.spec.desired = Desired::Stop;
    probe
}

#[allow(clippy::needless_pass_by_value, reason = "reads better where it is used")]
pub(crate) fn digest(verdict: Verdict, findings: Vec<Finding>) -> Digest {
    let text = serde_json::json!({
        "verdict": verdict, "confidencePercent": 80, "liveBytes": 5 << 20, "liveCount": 50,
        "growthBytesPerHour": 60_i64 << 20, "findings": findings,
    });
    digest::Digest::parse(&text.to_string()).unwrap()
}

pub(crate) fn finding(function: &str, growth: i64) -> Finding {
    Finding {
        rank: 1,
        class: "Leak".to_owned(),
        confidence_percent: 80,
        outstanding_bytes: 2 << 20,
        outstanding_count: 20,
        growth_bytes_per_hour: growth,
        frames: vec![frame(function), frame("main")],
        ..Finding::default()
    }
}

fn frame(function: &str) -> leakhound_crds::Frame {
    leakhound_crds::Frame {
        function: function.to_owned(),
        module: "cart".to_owned(),
        file: "cart.c".to_owned(),
        line: Some(7),
    }
}
