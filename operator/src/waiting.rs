//! The queue as the API shows it: who waits, and which places are taken.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use leakhound_crds::{LeakInvestigation, LeakProbe, investigation::status::WatchedTarget};

use crate::{
    controller::{observed::is_over, resolve::Target},
    queue::{Entry, Place},
    stage::{Stage, end_of},
};

/// An agent ends a probe at its deadline by itself: a place is free so long after it, whatever the API says.
const DEADLINE_GRACE: SignedDuration = SignedDuration::from_secs(60);

/// The place that a target needs.
pub(crate) fn entry(investigation: &LeakInvestigation, target: &Target) -> Entry {
    of(investigation, &target.pod_uid, &target.container, &target.node)
}

/// The place that a chosen target needs.
pub(crate) fn entry_of(investigation: &LeakInvestigation, watched: &WatchedTarget) -> Option<Entry> {
    Some(of(investigation, &watched.pod_uid, &watched.container, watched.node_name.as_deref()?))
}

fn of(investigation: &LeakInvestigation, pod: &str, container: &str, node: &str) -> Entry {
    let created = investigation.creation_timestamp();
    Entry {
        since: created.map_or(Timestamp::MAX, |time| time.0),
        investigation: investigation.uid().unwrap_or_default(),
        place: Place { pod: pod.to_owned(), container: container.to_owned(), node: node.to_owned() },
    }
}

/// The targets of an investigation that its status says are waiting.
pub(crate) fn entries(investigation: &LeakInvestigation) -> impl Iterator<Item = Entry> {
    let spec = &investigation.spec;
    let waits = !spec.stop && !spec.suspend && !is_over(investigation);
    let waiting = Stage::Waiting.to_string();
    let targets = investigation.status.iter().flat_map(|status| &status.targets);
    targets
        .filter(move |target| waits && target.reason.as_deref() == Some(&waiting))
        .filter_map(|target| entry_of(investigation, target))
}

/// Everybody who waits, and the places that are taken.
pub(crate) fn survey(
    investigations: &[Arc<LeakInvestigation>],
    probes: &[Arc<LeakProbe>],
    now: Timestamp,
) -> (BTreeSet<Entry>, Vec<Place>) {
    let by_uid: HashMap<String, &Arc<LeakInvestigation>> = investigations
        .iter()
        .map(|investigation| (investigation.uid().unwrap_or_default(), investigation))
        .collect();
    let is_open = |probe: &&Arc<LeakProbe>| {
        let over =
            by_uid.get(&probe.spec.investigation.uid).is_some_and(|investigation| is_over(investigation));
        end_of(probe).is_none() && !over && now.duration_since(probe.spec.deadline_time.0) < DEADLINE_GRACE
    };
    let open: Vec<&Arc<LeakProbe>> = probes.iter().filter(is_open).collect();
    let started: BTreeSet<(&str, &str, &str)> = open
        .iter()
        .map(|probe| {
            let spec = &probe.spec;
            (spec.investigation.uid.as_str(), spec.pod_uid.as_str(), spec.container_name.as_str())
        })
        .collect();
    let waiting = investigations
        .iter()
        .flat_map(|investigation| entries(investigation))
        .filter(|entry| {
            let place = &entry.place;
            !started.contains(&(entry.investigation.as_str(), place.pod.as_str(), place.container.as_str()))
        })
        .collect();
    (waiting, open.into_iter().map(|probe| place(probe)).collect())
}

/// The place that a probe takes.
pub(crate) fn place(probe: &LeakProbe) -> Place {
    let spec = &probe.spec;
    Place { pod: spec.pod_uid.clone(), container: spec.container_name.clone(), node: spec.node_name.clone() }
}
