//! Kills for want of memory, as the kubelet tells of them. An agent often cannot: the cgroup is gone with its last process.
//!
//! A pod tells of the last end of a container only, so each is noted on the probe that watched it, by the container's id. So none
//! is forgotten and none is counted twice.

use std::collections::BTreeSet;

use leakhound_crds::{LeakProbe, investigation::status::Memory};

use crate::stage::PodNow;

/// The annotation of a probe with the ids of those of its containers that were killed, with commas between them.
pub(crate) const NOTE: &str = "leakhound.dev/oom-killed";

/// The containers that are noted on a probe.
pub(crate) fn noted(probe: &LeakProbe) -> BTreeSet<&str> {
    let note = probe.metadata.annotations.as_ref().and_then(|all| all.get(NOTE));
    note.map(|ids| ids.split(',').collect()).unwrap_or_default()
}

/// The containers of a probe that were killed: those that are noted, and the one that its pod tells of now.
pub(crate) fn kills<'a>(container: &str, probe: &'a LeakProbe, pod: &'a PodNow) -> BTreeSet<&'a str> {
    let mut killed = noted(probe);
    if let PodNow::There(pod) = pod
        && let Some(container) = pod.container(container)
    {
        let told = container.oom_killed.iter().map(String::as_str);
        killed.extend(told.filter(|id| *id == probe.spec.container_id));
    }
    killed
}

/// What is known of a container's memory, with the kills of all its probes; never fewer than were known before.
pub(crate) fn memory(
    known: Option<Memory>,
    container: &str,
    probes: &[&LeakProbe],
    pod: &PodNow,
) -> Option<Memory> {
    let kills: usize = probes.iter().map(|probe| kills(container, probe, pod).len()).sum();
    if kills == 0 {
        return known;
    }
    let known = known.unwrap_or_default();
    let kills = i32::try_from(kills).unwrap_or(i32::MAX).max(known.oom_kills.unwrap_or(0));
    Some(Memory { oom_kills: Some(kills), ..known })
}
