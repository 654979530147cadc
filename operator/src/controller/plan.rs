//! The plan step: from what was observed to the status as it should be and the actions that are due.
//!
//! Pure. Actions are data; `controller::apply` carries them out. Planning again after an action that was carried out, or
//! half carried out, gives what is left to do.

mod finish;
mod timing;

use jiff::SignedDuration;
use leakhound_crds::{
    LeakInvestigationStatus, LeakProbe, Time,
    investigation::{status::WatchedTarget, wishes::OnContainerRestart},
    probe::Desired,
};

use super::{
    observed::{Observed, says_over},
    resolve::{Candidates, Resolved, Target, resolve},
};
use crate::{
    oom,
    order::order,
    queue::Turn,
    refusal::Refusal,
    stage::{PodNow, Sight, Stage, end_of},
    status::{self, Facts, Tracked},
};

use finish::Ending;
pub(crate) use finish::{Conclude, Missing, awaits_recordings, basis};
pub(crate) use timing::has_expired;

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Order a probe.
    Start(Box<LeakProbe>),
    /// Have an agent take its probes off.
    Stop { probe: String },
    /// Have an agent go on with the container's successor.
    Follow { probe: String, container_id: String },
    /// Keep on a probe which of its containers were killed for want of memory.
    NoteKills { probe: String, killed: Vec<String> },
    /// Analyze the recordings and store the reports.
    Conclude(Conclude),
    /// Remove a probe that nobody needs any more.
    RemoveProbe { probe: String },
    /// Delete the investigation: its time to live is over.
    Expire,
}

/// The status as it should be, and what to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) status: LeakInvestigationStatus,
    pub(crate) actions: Vec<Action>,
    /// When to look again if nothing happens; never, when everything that may come is watched.
    pub(crate) wake: Option<SignedDuration>,
}

/// What to do about what was observed.
pub(crate) fn plan(observed: &Observed, report_url: &str) -> Plan {
    if observed.is_over() {
        return finish::after_the_end(observed, report_url);
    }
    let choice = choose(observed);
    let (watched, obstacle) = match &choice {
        Choice::Known => (observed.chosen().to_vec(), None),
        Choice::New(resolved) => (resolved.targets.iter().map(watched).collect(), None),
        Choice::None(refusal) => (Vec::new(), Some(refusal)),
        Choice::Unknown => (Vec::new(), None),
    };
    let mut tracked: Vec<Tracked<'_>> = watched.into_iter().map(|watched| observed.track(watched)).collect();
    let next: Vec<Option<Result<Target, Refusal>>> =
        tracked.iter().map(|target| next_target(observed, &choice, target)).collect();
    let blocked = next.iter().flatten().find_map(|next| next.as_ref().err());
    timing::expire_waiting(observed, &mut tracked, blocked);
    let mut actions = Vec::new();
    for (target, next) in tracked.iter().zip(&next) {
        actions.extend(note_kills(observed, target));
        actions.extend(act(observed, target, next.as_ref().and_then(|next| next.as_ref().ok())));
    }
    let ending = finish::ending(observed, &tracked);
    let status = status::status(&Facts {
        investigation: &observed.investigation,
        targets: &tracked,
        obstacle: obstacle.or(blocked),
        conclusion: match ending {
            Ending::Done(conclusion) => Some(conclusion),
            // What was concluded before is out of date.
            Ending::Open | Ending::Awaited | Ending::Due(_) => None,
        },
        report_url,
        now: observed.now,
    });
    let wake = match ending {
        _ if says_over(&status) => finish::next_after_the_end(observed, Some(&Time(observed.now))),
        Ending::Awaited => Some(timing::WATCH),
        _ => timing::wake(observed, &tracked),
    };
    if let Ending::Due(order) = ending {
        actions.push(Action::Conclude(order));
    }
    Plan { status, actions, wake }
}

enum Choice {
    /// The API knows the targets, and they stay.
    Known,
    /// Somebody looked, and these are they.
    New(Resolved),
    /// Somebody looked, and there are none.
    None(Refusal),
    /// Nobody looked.
    Unknown,
}

/// Targets are settled by their first probe; until then every look may choose anew.
fn choose(observed: &Observed) -> Choice {
    if !observed.probes.is_empty() {
        return Choice::Known;
    }
    if let Some(barred) = &observed.barred {
        return Choice::None(barred.clone());
    }
    match &observed.candidates {
        Some(candidates) => {
            let spec = &observed.investigation.spec;
            match resolve(&spec.target, spec.mode, candidates, &observed.surroundings) {
                Ok(resolved) => Choice::New(resolved),
                Err(refusal) => Choice::None(refusal),
            }
        }
        None if observed.chosen().is_empty() => Choice::Unknown,
        None => Choice::Known,
    }
}

fn watched(target: &Target) -> WatchedTarget {
    WatchedTarget {
        pod_name: target.pod_name.clone(),
        pod_uid: target.pod_uid.clone(),
        container: target.container.clone(),
        container_id: Some(target.container_id.clone()),
        node_name: Some(target.node.clone()),
        ..WatchedTarget::default()
    }
}

/// The container that the next probe of a target would watch, or why there can be none now; `None` while no probe is wanted
/// or nobody looked.
fn next_target(
    observed: &Observed,
    choice: &Choice,
    tracked: &Tracked<'_>,
) -> Option<Result<Target, Refusal>> {
    if tracked.stage != Stage::Waiting {
        return None;
    }
    if let Some(barred) = &observed.barred {
        return Some(Err(barred.clone()));
    }
    let watched = &tracked.watched;
    if let Choice::New(resolved) = choice {
        let same =
            |target: &&Target| target.pod_uid == watched.pod_uid && target.container == watched.container;
        return resolved.targets.iter().find(same).cloned().map(Ok);
    }
    let pod = match observed.pods.get(&watched.pod_uid)? {
        PodNow::There(pod) => Some(pod.as_ref().clone()),
        PodNow::Gone => None,
        PodNow::Unknown => return None,
    };
    let mut wish = observed.investigation.spec.target.clone();
    wish.container = Some(watched.container.clone());
    let candidates = Candidates::Pod { name: watched.pod_name.clone(), pod };
    match resolve(&wish, observed.investigation.spec.mode, &candidates, &observed.surroundings) {
        Ok(resolved) => resolved.targets.into_iter().next().map(Ok),
        Err(refusal) => Some(Err(refusal)),
    }
}

/// A kill is noted before anything follows from it: the pod tells of the last one only.
fn note_kills(observed: &Observed, target: &Tracked<'_>) -> Vec<Action> {
    let Some(pod) = observed.pods.get(&target.watched.pod_uid) else { return Vec::new() };
    let note = |probe: &&LeakProbe| {
        let killed = oom::kills(&target.watched.container, probe, pod);
        let killed: Vec<String> =
            (killed != oom::noted(probe)).then(|| killed.into_iter().map(ToOwned::to_owned).collect())?;
        Some(Action::NoteKills { probe: probe.metadata.name.clone()?, killed })
    };
    target.probes.iter().filter_map(note).collect()
}

fn act(observed: &Observed, target: &Tracked<'_>, next: Option<&Target>) -> Option<Action> {
    let spec = &observed.investigation.spec;
    if target.stage == Stage::Waiting {
        return start(observed, target, next?);
    }
    let last = target.probes.last()?;
    let probe = last.metadata.name.clone()?;
    let is_open = end_of(last).is_none();
    let is_wanted = !spec.stop && !spec.suspend && !matches!(target.stage, Stage::Ended(_));
    if is_open && last.spec.desired == Desired::Run && !is_wanted {
        return Some(Action::Stop { probe });
    }
    if is_open && is_wanted && spec.on_container_restart == OnContainerRestart::Follow {
        let pod = observed.pods.get(&target.watched.pod_uid)?;
        let container_id = sight(observed, target, pod).successor(last)?.to_owned();
        return Some(Action::Follow { probe, container_id });
    }
    None
}

/// Orders a probe, when it is the target's turn and the API knows that it was chosen: a probe whose target no status names
/// would be an orphan if we died now.
fn start(observed: &Observed, target: &Tracked<'_>, next: &Target) -> Option<Action> {
    let known = observed.chosen().iter().any(|chosen| {
        chosen.pod_uid == target.watched.pod_uid && chosen.container == target.watched.container
    });
    if !known || target.turn != Some(Turn::Now) {
        return None;
    }
    let epoch = target.probes.len();
    let time_left = sight(observed, target, &PodNow::Unknown).time_left();
    let restarts = target.probes.first().and_then(|first| crate::order::restarts_before(first));
    let restarts = restarts.unwrap_or(next.restarts);
    let probe = order(&observed.investigation, next, epoch, time_left, restarts, observed.now).ok()?;
    Some(Action::Start(Box::new(probe)))
}

fn sight<'a>(observed: &'a Observed, target: &'a Tracked<'_>, pod: &'a PodNow) -> Sight<'a> {
    Sight {
        spec: &observed.investigation.spec,
        container: &target.watched.container,
        probes: &target.probes,
        pod,
        node: None,
        now: observed.now,
    }
}

#[cfg(test)]
mod tests;
