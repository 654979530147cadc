//! What a reconcile knows: everything that was read, and nothing that was decided.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use leakhound_crds::{
    ConditionStatus, Digest, LeakInvestigation, LeakInvestigationStatus, LeakProbe, condition,
    condition::SUCCEEDED, investigation::status::WatchedTarget,
};

use super::resolve::{Candidates, Surroundings};
use crate::{
    conclusion::Conclusion,
    node::NodeView,
    oom,
    order::restarts_before,
    queue::Turn,
    refusal::Refusal,
    stage::{PodNow, Sight},
    status::Tracked,
    storage::StoredRecording,
};

/// What was read about one investigation.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    pub(crate) investigation: Arc<LeakInvestigation>,
    /// Its probes, oldest first.
    pub(crate) probes: Vec<Arc<LeakProbe>>,
    /// Why it must not start at all: its namespace, or wishes that this installation cannot grant.
    pub(crate) barred: Option<Refusal>,
    /// The pods that may be meant, when somebody looked for them.
    pub(crate) candidates: Option<Candidates>,
    /// Nodes, agents and runtimes around the pods that were looked at.
    pub(crate) surroundings: Surroundings,
    /// Pods of chosen targets, by uid, as far as somebody looked.
    pub(crate) pods: BTreeMap<String, PodNow>,
    /// Turns of chosen targets that wait, by pod uid and container.
    pub(crate) turns: BTreeMap<(String, String), Turn>,
    /// What the store holds, when somebody looked.
    pub(crate) stored: Option<Stored>,
    pub(crate) now: Timestamp,
}

/// What the store holds of an investigation.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Stored {
    pub(crate) recordings: Vec<StoredRecording>,
    pub(crate) conclusion: Option<Conclusion>,
}

impl Observed {
    /// Whether the API says already that it is over.
    pub(crate) fn is_over(&self) -> bool {
        is_over(&self.investigation)
    }

    /// The targets that the API knows.
    pub(crate) fn chosen(&self) -> &[WatchedTarget] {
        self.investigation.status.as_ref().map_or(&[], |status| &status.targets)
    }

    /// Where one target stands.
    pub(crate) fn track(&self, watched: WatchedTarget) -> Tracked<'_> {
        let probes = self.probes_of(&watched);
        let unknown = PodNow::Unknown;
        let pod = self.pods.get(&watched.pod_uid).unwrap_or(&unknown);
        let sight = Sight {
            spec: &self.investigation.spec,
            container: &watched.container,
            probes: &probes,
            pod,
            node: self.node_of(&watched),
            now: self.now,
        };
        let stage = sight.stage();
        let turn = self.turns.get(&(watched.pod_uid.clone(), watched.container.clone())).copied();
        let digests = probes
            .iter()
            .filter_map(|probe| {
                let text = probe.status.as_ref()?.digest.as_ref()?;
                Digest::parse(text).map(|digest| (*probe, digest)).ok()
            })
            .collect();
        let restarts = self.restarts(&watched, &probes, pod);
        let memory = oom::memory(watched.memory.clone(), &watched.container, &probes, pod);
        let watched = WatchedTarget { restarts, memory, ..watched };
        Tracked { watched, stage, turn, probes, digests }
    }

    /// The probes of one target, oldest first.
    pub(crate) fn probes_of(&self, watched: &WatchedTarget) -> Vec<&LeakProbe> {
        self.probes
            .iter()
            .map(Arc::as_ref)
            .filter(|probe| {
                probe.spec.pod_uid == watched.pod_uid && probe.spec.container_name == watched.container
            })
            .collect()
    }

    /// Which of a probe's containers were killed for want of memory.
    pub(crate) fn oom_killed(&self, probe: &LeakProbe) -> Vec<String> {
        let pod = self.pods.get(&probe.spec.pod_uid).unwrap_or(&PodNow::Unknown);
        let killed = oom::kills(&probe.spec.container_name, probe, pod);
        killed.into_iter().map(ToOwned::to_owned).collect()
    }

    fn node_of(&self, watched: &WatchedTarget) -> Option<&NodeView> {
        self.surroundings.nodes.get(watched.node_name.as_deref()?)
    }

    /// Restarts since the first probe was ordered; never fewer than were seen before.
    fn restarts(&self, watched: &WatchedTarget, probes: &[&LeakProbe], pod: &PodNow) -> i32 {
        let PodNow::There(pod) = pod else { return watched.restarts };
        let now = pod.container(&watched.container).map(|container| container.restarts);
        let before = probes.first().and_then(|probe| restarts_before(probe));
        match (now, before) {
            (Some(now), Some(before)) => watched.restarts.max(now.saturating_sub(before)),
            _ => watched.restarts,
        }
    }
}

/// Whether the API says that an investigation is over.
pub(crate) fn is_over(investigation: &LeakInvestigation) -> bool {
    investigation.status.as_ref().is_some_and(says_over)
}

/// Whether a status says that its investigation is over.
pub(crate) fn says_over(status: &LeakInvestigationStatus) -> bool {
    let succeeded = condition::find(&status.conditions, SUCCEEDED);
    succeeded.is_some_and(|succeeded| succeeded.status != ConditionStatus::Unknown)
}
