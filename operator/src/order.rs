//! The order to an agent: a target and the wishes of its investigation as a LeakProbe.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::api::ObjectMeta;
use leakhound_crds::{
    LeakInvestigation, LeakProbe, LeakProbeSpec, Time,
    duration::{self, DurationError},
    investigation::SHORTEST_INTERVAL,
    names,
    probe::{Desired, InvestigationRef, Profile},
};
use sha2::{Digest, Sha256};

use crate::{controller::resolve::Target, hex::hex, stage::created};

/// What an agent may take beyond the time with probes on and the time to start: attaching, naming stacks, uploading.
const SLACK: SignedDuration = SignedDuration::from_secs(60);
/// Of 253 characters: what is left for the name beside a pod's uid and a hash, and stays readable.
const NAME_PART: usize = 40;
/// How often the container had restarted when its first probe was ordered.
pub(crate) const RESTARTS_BEFORE: &str = "leakhound.dev/restarts-before";
/// Which of its target's probes it is, from 0: times of creation are whole seconds, and two may share one.
const EPOCH: &str = "leakhound.dev/epoch";

/// The probe for the `epoch`th stretch of time (from 0) in which `target` is watched. The same epoch gives the same name, so
/// ordering it twice makes one probe.
pub(crate) fn order(
    investigation: &LeakInvestigation,
    target: &Target,
    epoch: usize,
    time_left: std::time::Duration,
    restarts_before: i32,
    now: Timestamp,
) -> Result<LeakProbe, DurationError> {
    let metadata = &investigation.metadata;
    let reference = InvestigationRef {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
    };
    let spec = &investigation.spec;
    let mut profile = Profile::try_from(spec)?;
    if epoch > 0 {
        let interval = spec.snapshot_interval()?.min(time_left / 3).max(SHORTEST_INTERVAL);
        profile.duration = duration::format(time_left);
        profile.snapshot_interval = duration::format(interval);
    }
    let limit = SignedDuration::try_from(time_left).unwrap_or(SignedDuration::ZERO)
        + SignedDuration::from_secs(spec.starting_deadline_seconds)
        + SLACK;
    let labels = [
        (names::INVESTIGATION_UID, &reference.uid),
        (names::INVESTIGATION_NAMESPACE, &reference.namespace),
        (names::INVESTIGATION_NAME, &reference.name),
    ];
    let metadata = ObjectMeta {
        name: Some(name(&reference, target, epoch)),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value.clone())).into()),
        annotations: Some(BTreeMap::from([
            (RESTARTS_BEFORE.to_owned(), restarts_before.to_string()),
            (EPOCH.to_owned(), epoch.to_string()),
        ])),
        ..ObjectMeta::default()
    };
    let spec = LeakProbeSpec {
        node_name: target.node.clone(),
        investigation: reference,
        pod_uid: target.pod_uid.clone(),
        static_pod_hash: target.static_hash.clone(),
        container_id: target.container_id.clone(),
        container_name: target.container.clone(),
        mode: spec.mode,
        deadline_time: Time(now.saturating_add(limit).unwrap_or(now)),
        desired: Desired::Run,
        profile,
    };
    Ok(LeakProbe { metadata, spec, status: None })
}

fn name(reference: &InvestigationRef, target: &Target, epoch: usize) -> String {
    let mut hash = Sha256::new();
    for part in [&reference.uid, &target.pod_uid, &target.container, &epoch.to_string()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let hash = hex(&hash.finalize()[..5]);
    let pod: String = target.pod_uid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let name: String = reference.name.chars().take(NAME_PART).collect();
    format!("{}-{}-{hash}", name.trim_end_matches(['-', '.']), pod.to_ascii_lowercase())
}

/// How often the container had restarted when its first probe was ordered.
pub(crate) fn restarts_before(probe: &LeakProbe) -> Option<i32> {
    noted(probe, RESTARTS_BEFORE)
}

/// Sorts the probes of a target as they were ordered. Where the number is missing, the time has to do.
pub(crate) fn sequence(probe: &LeakProbe) -> impl Ord + use<> {
    (noted::<usize>(probe, EPOCH), created(probe), probe.metadata.name.clone())
}

fn noted<T: std::str::FromStr>(probe: &LeakProbe, key: &str) -> Option<T> {
    probe.metadata.annotations.as_ref()?.get(key)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn probes_of_the_same_second_stay_in_order() {
        let investigation = fixture::investigation();
        let probe = |epoch| {
            let left = std::time::Duration::from_secs(60);
            let mut probe =
                order(&investigation, &fixture::target("cart-1"), epoch, left, 0, fixture::now()).unwrap();
            probe.metadata.creation_timestamp = Some(Time(fixture::now()));
            probe
        };
        let ordered: Vec<LeakProbe> = (0..12).map(probe).collect();
        let mut sorted: Vec<LeakProbe> = ordered.iter().rev().cloned().collect();
        sorted.sort_by_key(sequence);
        assert_eq!(sorted, ordered);
    }
}
