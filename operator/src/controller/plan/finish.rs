//! The end of an investigation, and what comes after it.

use jiff::{SignedDuration, Timestamp};
use leakhound_crds::{
    ConditionStatus, LeakInvestigationSpec, LeakInvestigationStatus, LeakProbe, Time,
    condition::{self, LEAK_DETECTED, RECORDING_UPLOADED, REPORT_READY},
    names,
    probe::Desired,
};

use super::{Action, Plan};
use crate::{
    conclusion::Conclusion,
    controller::observed::{Observed, Stored},
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
    /// Of which pods some never arrived.
    pub(crate) missing: Vec<Missing>,
}

/// Recordings of a pod that never arrived: there is one for each stretch of time with probes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) pod: String,
    /// How many of how many.
    pub(crate) lost: usize,
    pub(crate) of: usize,
}

impl Missing {
    /// As a sentence for people.
    pub(crate) fn explain(&self) -> String {
        let Self { pod, lost, of } = self;
        match (lost, of) {
            (_, 1) => format!("the recording of pod {pod} did not arrive"),
            _ => format!("{lost} of {of} recordings of pod {pod} did not arrive"),
        }
    }
}

/// How far the end of an investigation has got.
pub(super) enum Ending<'a> {
    /// Not all targets have ended, or nothing was recorded.
    Open,
    /// Recordings are still on their way.
    Awaited,
    /// There is something to analyze.
    Due(Conclude),
    /// It has been done.
    Done(&'a Conclusion),
}

/// How far the end has got.
pub(super) fn ending<'a>(observed: &'a Observed, tracked: &[Tracked<'_>]) -> Ending<'a> {
    let is_over = tracked.iter().all(|target| matches!(target.stage, Stage::Ended(_)));
    let has_probes = tracked.iter().any(|target| !target.probes.is_empty());
    let Some(stored) = observed.stored.as_ref().filter(|_| is_over && has_probes) else {
        return Ending::Open;
    };
    let is_awaited = |probe: &LeakProbe| arrived(stored, probe).is_none() && is_coming(probe, observed.now);
    if tracked.iter().flat_map(|target| &target.probes).any(|probe| is_awaited(probe)) {
        return Ending::Awaited;
    }
    let order = gather(stored, tracked);
    match &stored.conclusion {
        Some(done) if done.basis == basis(&order.recordings) => Ending::Done(done),
        _ => Ending::Due(order),
    }
}

/// What to analyze again after the end: each recording that came late, without waiting for others. Where targets stand plays no
/// part any more, for whatever agents say now, the investigation stays over.
fn conclude_again(observed: &Observed, tracked: &[Tracked<'_>]) -> Option<Conclude> {
    let stored = observed.stored.as_ref()?;
    let order = gather(stored, tracked);
    let known = stored.conclusion.as_ref().map_or(&[][..], |done| &done.basis);
    // One less is no news: probes are removed one by one.
    let is_news = basis(&order.recordings).iter().any(|recording| !known.contains(recording));
    is_news.then_some(order)
}

/// What has arrived, and what has not.
fn gather(stored: &Stored, tracked: &[Tracked<'_>]) -> Conclude {
    let (mut recordings, mut missing) = (Vec::new(), Vec::new());
    for target in tracked.iter().filter(|target| !target.probes.is_empty()) {
        let of_target: Vec<_> = target.probes.iter().filter_map(|probe| arrived(stored, probe)).collect();
        let is_expected = |probe: &&&LeakProbe| has_begun(probe) || arrived(stored, probe).is_some();
        let of = target.probes.iter().filter(is_expected).count().max(1);
        let lost = of - of_target.len();
        if lost > 0 {
            missing.push(Missing { pod: target.watched.pod_name.clone(), lost, of });
        }
        recordings.extend(of_target.into_iter().cloned());
    }
    Conclude { recordings, missing }
}

fn arrived<'a>(stored: &'a Stored, probe: &LeakProbe) -> Option<&'a StoredRecording> {
    let uid = probe.metadata.uid.as_deref()?;
    stored.recordings.iter().find(|recording| recording.probe == uid)
}

/// The names of recordings, as a conclusion keeps them.
pub(crate) fn basis(recordings: &[StoredRecording]) -> Vec<String> {
    let mut basis: Vec<String> =
        recordings.iter().map(|recording| format!("{}-{}", recording.probe, recording.sha256)).collect();
    basis.sort();
    basis
}

/// Whether a recording that is not there may still come: the agent uploads first and then says that it has finished, unless
/// it cannot reach us. Then it says so, and goes on trying.
fn is_coming(probe: &LeakProbe, now: Timestamp) -> bool {
    let Some((_, succeeded)) = end_of(probe) else { return false };
    let conditions = probe.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let gave_up = condition::find(conditions, RECORDING_UPLOADED).is_some_and(|uploaded| {
        uploaded.status == ConditionStatus::False && uploaded.reason != names::RETRYING
    });
    !gave_up && has_begun(probe) && now.duration_since(succeeded.last_transition_time.0) < UPLOAD_TIME
}

fn has_begun(probe: &LeakProbe) -> bool {
    probe.status.as_ref().is_some_and(|status| status.start_time.is_some())
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
    let late = conclude_again(observed, &tracked);
    let conclusion = observed.stored.as_ref().and_then(|stored| stored.conclusion.as_ref());
    let amended = conclusion
        .filter(|_| late.is_none())
        .map(|conclusion| amend(observed, &tracked, conclusion, report_url))
        .filter(|amended| is_news(amended, &old));
    let status = amended.unwrap_or_else(|| LeakInvestigationStatus {
        observed_generation: observed.investigation.metadata.generation,
        ..old
    });
    actions.extend(late.map(Action::Conclude));
    let wake = next_after_the_end(observed, completion.as_ref());
    Plan { status, actions, wake }
}

/// Whether a status tells of other reports than the one before, or of other recordings that are missing.
fn is_news(new: &LeakInvestigationStatus, old: &LeakInvestigationStatus) -> bool {
    let hashes = |status: &LeakInvestigationStatus| -> Vec<Option<String>> {
        status.reports.iter().map(|report| report.sha256.clone()).collect()
    };
    let ready = |status: &LeakInvestigationStatus| {
        let ready = condition::find(&status.conditions, REPORT_READY);
        ready.map(|ready| (ready.status, ready.reason.clone(), ready.message.clone()))
    };
    hashes(new) != hashes(old) || ready(new) != ready(old)
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
    let new = status(&facts);
    let mut conditions =
        observed.investigation.status.as_ref().map_or_else(Vec::new, |old| old.conditions.clone());
    for type_ in [REPORT_READY, LEAK_DETECTED] {
        if let Some(says) = condition::find(&new.conditions, type_) {
            condition::set(&mut conditions, says.clone());
        }
    }
    LeakInvestigationStatus { targets: observed.chosen().to_vec(), conditions, ..new }
}

/// When to look at it again.
pub(super) fn next_after_the_end(observed: &Observed, completion: Option<&Time>) -> Option<SignedDuration> {
    let kept = completion.filter(|_| !observed.probes.is_empty());
    let probes = kept.and_then(|at| at.0.checked_add(KEEP_PROBES).ok());
    let next = [expiry(&observed.investigation.spec, completion), probes].into_iter().flatten().min()?;
    Some(next.duration_since(observed.now).max(SignedDuration::from_secs(1)))
}

fn expiry(spec: &LeakInvestigationSpec, completion: Option<&Time>) -> Option<Timestamp> {
    let ttl = SignedDuration::from_secs(spec.ttl_seconds_after_finished?.into());
    completion?.0.checked_add(ttl).ok()
}

/// Whether a late recording could still come: as long as its probe is kept, whatever has come so far. Only what wakes an
/// investigation leads to a look, so those that rest cost nothing.
pub(crate) fn awaits_recordings(observed: &Observed) -> bool {
    let completion =
        observed.investigation.status.as_ref().and_then(|status| status.completion_time.as_ref());
    let since = completion.map_or(SignedDuration::MAX, |at| observed.now.duration_since(at.0));
    !observed.probes.is_empty() && since < KEEP_PROBES
}
