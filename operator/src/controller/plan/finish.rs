//! The end of an investigation, and what comes after it.

use jiff::{SignedDuration, Timestamp};
use leakhound_crds::{
    ConditionStatus, LeakInvestigationSpec, LeakInvestigationStatus, LeakProbe, Time,
    condition::{self, RECORDING_UPLOADED, REPORT_READY, SUCCEEDED},
    probe::Desired,
};

use super::{Action, Plan, succeeded_before};
use crate::{
    conclusion::Conclusion,
    controller::observed::Observed,
    stage::{Stage, end_of},
    status::{Facts, Tracked, status},
    storage::StoredRecording,
};

/// How long a recording may take from the end of its probe to us.
const UPLOAD_TIME: SignedDuration = SignedDuration::from_secs(120);
/// Probes of an investigation that is over stay for so long, so that a late or a repeated upload gets an answer.
const KEEP_PROBES: SignedDuration = SignedDuration::from_hours(1);

/// The order to analyze recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conclude {
    /// The recordings, in the order of their targets.
    pub(crate) recordings: Vec<StoredRecording>,
    /// Pods whose recording never arrived.
    pub(crate) missing: Vec<String>,
}

/// Recordings are still on their way.
pub(super) struct StillComing;

/// What to analyze: nothing while probes are on, or when it has been done.
pub(super) fn conclude(
    observed: &Observed,
    tracked: &[Tracked<'_>],
) -> Result<Option<Conclude>, StillComing> {
    let is_over = tracked.iter().all(|target| matches!(target.stage, Stage::Ended(_)));
    let has_probes = tracked.iter().any(|target| !target.probes.is_empty());
    let Some(stored) = observed.stored.as_ref().filter(|_| is_over && has_probes) else { return Ok(None) };
    let (mut recordings, mut missing) = (Vec::new(), Vec::new());
    for target in tracked {
        let before = recordings.len();
        for probe in &target.probes {
            let uid = probe.metadata.uid.as_deref().unwrap_or_default();
            match stored.recordings.iter().find(|recording| recording.probe == uid) {
                Some(recording) => recordings.push(recording.clone()),
                None if is_coming(probe, observed.now) => return Err(StillComing),
                None => {}
            }
        }
        if recordings.len() == before && !target.probes.is_empty() {
            missing.push(target.watched.pod_name.clone());
        }
    }
    let is_done = stored.conclusion.as_ref().is_some_and(|done| done.basis == basis(&recordings));
    Ok((!is_done).then_some(Conclude { recordings, missing }))
}

/// The names of recordings, as a conclusion keeps them.
pub(crate) fn basis(recordings: &[StoredRecording]) -> Vec<String> {
    let mut basis: Vec<String> =
        recordings.iter().map(|recording| format!("{}-{}", recording.probe, recording.sha256)).collect();
    basis.sort();
    basis
}

/// Whether a recording that is not there may still come: the agent uploads first and then says that it has finished, unless
/// it cannot reach us.
fn is_coming(probe: &LeakProbe, now: Timestamp) -> bool {
    let Some((_, succeeded)) = end_of(probe) else { return false };
    let conditions = probe.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let gave_up = condition::find(conditions, RECORDING_UPLOADED)
        .is_some_and(|uploaded| uploaded.status == ConditionStatus::False);
    let never_began = probe.status.as_ref().is_none_or(|status| status.start_time.is_none());
    !gave_up && !never_began && now.duration_since(succeeded.last_transition_time.0) < UPLOAD_TIME
}

/// What is left to do for an investigation that the API says is over.
pub(super) fn after_the_end(observed: &Observed, report_url: &str) -> Plan {
    let spec = &observed.investigation.spec;
    let old = observed.investigation.status.clone().unwrap_or_default();
    let completion = old.completion_time.clone();
    let since = completion.as_ref().map_or(SignedDuration::MAX, |at| observed.now.duration_since(at.0));
    if expiry(spec, completion.as_ref()).is_some_and(|at| observed.now >= at) {
        return Plan { status: old, actions: vec![Action::Expire], wake: None };
    }
    let mut actions = Vec::new();
    for probe in &observed.probes {
        let Some(name) = probe.metadata.name.clone() else { continue };
        if since >= KEEP_PROBES {
            actions.push(Action::RemoveProbe { probe: name });
        } else if end_of(probe).is_none() && probe.spec.desired == Desired::Run {
            actions.push(Action::Stop { probe: name });
        }
    }
    let tracked: Vec<Tracked<'_>> =
        observed.chosen().iter().map(|watched| observed.track(watched.clone())).collect();
    let late = conclude(observed, &tracked).ok().flatten().filter(|late| !late.recordings.is_empty());
    let conclusion = observed.stored.as_ref().and_then(|stored| stored.conclusion.as_ref());
    let status = match conclusion.filter(|conclusion| late.is_none() && is_news(conclusion, &old)) {
        Some(conclusion) => amend(observed, &tracked, conclusion, report_url),
        None => {
            LeakInvestigationStatus { observed_generation: observed.investigation.metadata.generation, ..old }
        }
    };
    actions.extend(late.map(Action::Conclude));
    let wake = next_after_the_end(spec, completion.as_ref(), !observed.probes.is_empty(), observed.now);
    Plan { status, actions, wake }
}

/// Whether a report was made after the end of which the status knows nothing.
fn is_news(conclusion: &Conclusion, status: &LeakInvestigationStatus) -> bool {
    !conclusion.reports.is_empty() && status.reports.is_empty()
}

/// A recording that came late completes the result; that the investigation is over, and how, stays as it was said.
fn amend(
    observed: &Observed,
    tracked: &[Tracked<'_>],
    conclusion: &Conclusion,
    report_url: &str,
) -> LeakInvestigationStatus {
    let facts = Facts {
        investigation: &observed.investigation,
        targets: tracked,
        obstacle: None,
        conclusion: Some(conclusion),
        report_url,
        now: observed.now,
    };
    let mut status = status(&facts);
    status.targets = observed.chosen().to_vec();
    status.conditions.retain(|condition| condition.type_ != SUCCEEDED);
    status.conditions.extend(succeeded_before(observed));
    status
}

/// When to look at it again.
pub(super) fn next_after_the_end(
    spec: &LeakInvestigationSpec,
    completion: Option<&Time>,
    has_probes: bool,
    now: Timestamp,
) -> Option<SignedDuration> {
    let probes = completion.filter(|_| has_probes).and_then(|at| at.0.checked_add(KEEP_PROBES).ok());
    let next = [expiry(spec, completion), probes].into_iter().flatten().min()?;
    Some(next.duration_since(now).max(SignedDuration::from_secs(1)))
}

fn expiry(spec: &LeakInvestigationSpec, completion: Option<&Time>) -> Option<Timestamp> {
    let ttl = SignedDuration::from_secs(spec.ttl_seconds_after_finished?.into());
    completion?.0.checked_add(ttl).ok()
}

/// Whether a late recording could still make a difference.
pub(crate) fn awaits_report(status: Option<&LeakInvestigationStatus>) -> bool {
    status
        .and_then(|status| condition::find(&status.conditions, REPORT_READY))
        .is_some_and(|ready| ready.status != ConditionStatus::True)
}
