//! The observe step: everything that a reconcile needs from the API server and the store, and no more than that.
//!
//! Investigations and probes come from watches. Pods, nodes, leases and namespaces are asked for one at a time, when a target
//! is about to start or is being watched: at most as many as there are slots, whatever the size of the cluster. What waits in
//! the queue costs nothing.

mod around;
mod candidates;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Resource, ResourceExt};
use leakhound_crds::{LeakInvestigation, investigation::wishes::OnContainerRestart, names};
use serde::de::DeserializeOwned;

use super::{
    ReconcileError,
    observed::{Observed, Stored},
    plan::{awaits_recordings, has_expired},
    resolve::{Surroundings, resolve, shortlist},
};
use crate::{
    context::Context,
    pod::PodView,
    queue::{Entry, Turn},
    refusal::{Reason, Refusal},
    stage::{EndReason, PodNow, Stage},
    waiting,
};
use around::{look_around, look_at_node};
use candidates::candidates;

type Result<T> = std::result::Result<T, ReconcileError>;

/// Reads what a reconcile needs.
pub(crate) async fn observe(context: &Context, investigation: Arc<LeakInvestigation>) -> Result<Observed> {
    let mut observed = Observed {
        probes: context.probes_of(&investigation),
        barred: context.settings.bar(&investigation),
        candidates: None,
        surroundings: Surroundings::default(),
        pods: BTreeMap::new(),
        turns: BTreeMap::new(),
        stored: None,
        now: Timestamp::now(),
        investigation,
    };
    let spec = &observed.investigation.spec;
    if observed.is_over() {
        if awaits_recordings(&observed) {
            observed.stored = Some(stored(context, &observed.investigation).await?);
        }
    } else if !observed.probes.is_empty() {
        look_at_chosen(context, &mut observed).await?;
    } else if !spec.stop && !spec.suspend && observed.barred.is_none() {
        look_for_targets(context, &mut observed).await?;
    }
    Ok(observed)
}

/// Before the first probe: which pods are meant, unless all that were chosen have to wait anyway.
async fn look_for_targets(context: &Context, observed: &mut Observed) -> Result<()> {
    let chosen: BTreeSet<Entry> = waiting::entries(&observed.investigation).collect();
    observed.turns = context.turns(&chosen);
    let is_due = observed.turns.values().any(|turn| *turn == Turn::Now);
    if !chosen.is_empty() && !is_due {
        return Ok(());
    }
    let namespace = observed.investigation.namespace().unwrap_or_default();
    observed.barred = denied(context, &namespace).await?;
    let candidates = candidates(context, &observed.investigation, &namespace).await?;
    let spec = &observed.investigation.spec;
    let wish = &spec.target;
    let pods: Vec<PodView> = shortlist(wish, &candidates).into_iter().cloned().collect();
    for pod in &pods {
        look_around(context, &mut observed.surroundings, pod).await?;
    }
    if let Ok(resolved) = resolve(wish, spec.mode, &candidates, &observed.surroundings) {
        let entries = resolved.targets.iter().map(|target| waiting::entry(&observed.investigation, target));
        observed.turns = context.turns(&entries.collect());
    }
    observed.candidates = Some(candidates);
    Ok(())
}

/// After the first probe: the pods and nodes of targets whose fate is open.
async fn look_at_chosen(context: &Context, observed: &mut Observed) -> Result<()> {
    let namespace = observed.investigation.namespace().unwrap_or_default();
    let open: Vec<_> = observed
        .chosen()
        .iter()
        .filter(|watched| match observed.track((*watched).clone()).stage {
            Stage::Ended(end) => depends_on_pod(end.reason, observed),
            _ => true,
        })
        .cloned()
        .collect();
    for watched in &open {
        let pod = get::<Pod>(&context.namespaced(&namespace), &watched.pod_name, "get a pod").await?;
        let pod = pod.filter(|pod| pod.uid().as_deref() == Some(&watched.pod_uid));
        if let Some(node) = &watched.node_name {
            look_at_node(context, &mut observed.surroundings, node).await?;
        }
        let now = pod.as_ref().map_or(PodNow::Gone, |pod| PodNow::There(Box::new(PodView::from(pod))));
        observed.pods.insert(watched.pod_uid.clone(), now);
    }
    let mut entries: BTreeSet<Entry> = BTreeSet::new();
    let mut all_ended = true;
    for watched in observed.chosen() {
        let target = observed.track(watched.clone());
        all_ended &= matches!(target.stage, Stage::Ended(_)) || has_expired(observed, &target);
        if target.stage == Stage::Waiting {
            entries.extend(waiting::entry_of(&observed.investigation, watched));
        }
    }
    if !entries.is_empty() {
        observed.barred = denied(context, &namespace).await?;
        observed.turns = context.turns(&entries);
    }
    if all_ended {
        observed.stored = Some(stored(context, &observed.investigation).await?);
    }
    Ok(())
}

/// Whether it takes a look at the pod to say how a target really ended.
fn depends_on_pod(end: EndReason, observed: &Observed) -> bool {
    match end {
        EndReason::TargetGone | EndReason::ContainerMismatch => true,
        EndReason::Completed => observed.investigation.spec.on_container_restart == OnContainerRestart::Fail,
        _ => false,
    }
}

async fn stored(context: &Context, investigation: &LeakInvestigation) -> Result<Stored> {
    let uid = investigation.uid().unwrap_or_default();
    let recordings = context.storage.recordings(&uid).await?;
    let conclusion = context.storage.conclusion(&uid).await?;
    // One that cannot be read was written by another version: it is made again.
    let conclusion = conclusion.and_then(|json| serde_json::from_slice(&json).ok());
    Ok(Stored { recordings, conclusion })
}

/// The policy refuses investigations in a namespace with the label; it may have been put there since.
async fn denied(context: &Context, namespace: &str) -> Result<Option<Refusal>> {
    let found = context.namespace(namespace).await?;
    let is_denied = found.is_some_and(|namespace| namespace.labels().contains_key(names::DENY));
    Ok(is_denied.then(|| {
        Refusal::new(
            Reason::Forbidden,
            format!(
                "namespace {namespace} has the label leakhound.dev/deny: nothing in it may be investigated"
            ),
        )
    }))
}

async fn get<K>(api: &Api<K>, name: &str, action: &'static str) -> Result<Option<K>>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    api.get_opt(name).await.map_err(|source| ReconcileError::api(action, source))
}
