//! The apply step: carries out actions, then writes the status if it changed.
//!
//! Every action can be carried out twice: names are deterministic, patches are absolute, objects in the store are named by
//! their content. So whoever dies in between leaves nothing but work for the next reconcile.

mod conclude;
mod write;

use jiff::{SignedDuration, Timestamp};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use leakhound_crds::{LeakInvestigation, LeakInvestigationStatus, LeakProbe, names::OPERATOR_ACCOUNT};
use serde_json::json;

use super::{
    ReconcileError,
    observed::Observed,
    plan::{Action, Plan},
};
use crate::{context::Context, events, oom};

/// Numbers that move without anything having happened are written this often at most.
const QUIET: SignedDuration = SignedDuration::from_secs(10);

/// Between two looks whether it is an investigation's turn to be analyzed. Waiting for it would take the place of a reconcile
/// that somebody else's stop or pause needs.
const ANALYSIS: SignedDuration = SignedDuration::from_secs(1);

/// Carries out a plan; when to look again.
pub(crate) async fn apply(
    context: &Context,
    observed: &Observed,
    plan: Plan,
) -> Result<Option<SignedDuration>, ReconcileError> {
    let mut wake = plan.wake;
    for action in &plan.actions {
        tracing::debug!(?action, "apply");
        match carry_out(context, observed, action).await? {
            Next::Again => wake = Some(SignedDuration::ZERO),
            Next::Soon => wake = Some(ANALYSIS),
            Next::AsPlanned => {}
        }
    }
    if plan.actions.contains(&Action::Expire) {
        return Ok(None);
    }
    let old = observed.investigation.status.as_ref();
    if old == Some(&plan.status) {
        return Ok(wake);
    }
    if let Some(rest) = rest_of_quiet(observed, &plan.status) {
        return Ok(Some(wake.map_or(rest, |wake| wake.min(rest))));
    }
    write::write(context, &observed.investigation, &plan.status).await?;
    for event in events::between(old, &plan.status) {
        events::publish(context, &observed.investigation, &event).await;
    }
    Ok(wake)
}

/// When an action makes another look worth while.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Again,
    Soon,
    AsPlanned,
}

async fn carry_out(context: &Context, observed: &Observed, action: &Action) -> Result<Next, ReconcileError> {
    match action {
        Action::Start(probe) => start(context, probe).await?,
        Action::Stop { probe } => patch(context, probe, &json!({ "spec": { "desired": "Stop" } })).await?,
        Action::Follow { probe, container_id } => {
            patch(context, probe, &json!({ "spec": { "containerID": container_id } })).await?;
        }
        Action::NoteKills { probe, killed } => {
            let note = json!({ oom::NOTE: killed.join(",") });
            patch(context, probe, &json!({ "metadata": { "annotations": note } })).await?;
        }
        Action::RemoveProbe { probe } => remove(context, probe).await?,
        Action::Conclude(order) => {
            return conclude::conclude(context, observed, order).await;
        }
        Action::Expire => expire(context, &observed.investigation).await?,
    }
    Ok(Next::AsPlanned)
}

async fn start(context: &Context, probe: &LeakProbe) -> Result<(), ReconcileError> {
    if !context.ordered.take(context, probe) {
        return Ok(());
    }
    match context.own::<LeakProbe>().create(&PostParams::default(), probe).await {
        Ok(_) => Ok(()),
        // It was ordered before, and we died or the watch is slow.
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
        Err(source) => {
            context.ordered.give_back(probe);
            Err(ReconcileError::api("create a probe", source))
        }
    }
}

async fn patch(context: &Context, probe: &str, patch: &serde_json::Value) -> Result<(), ReconcileError> {
    let params = PatchParams { field_manager: Some(OPERATOR_ACCOUNT.to_owned()), ..PatchParams::default() };
    match context.own::<LeakProbe>().patch(probe, &params, &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(source) if is_gone(&source) => Ok(()),
        Err(source) => Err(ReconcileError::api("patch a probe", source)),
    }
}

async fn remove(context: &Context, probe: &str) -> Result<(), ReconcileError> {
    match context.own::<LeakProbe>().delete(probe, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(source) if is_gone(&source) => Ok(()),
        Err(source) => Err(ReconcileError::api("delete a probe", source)),
    }
}

/// Deletes an investigation, and not one of the same name that was made since, or one whose owner wants to keep it now.
async fn expire(context: &Context, investigation: &LeakInvestigation) -> Result<(), ReconcileError> {
    let preconditions =
        Preconditions { uid: investigation.uid(), resource_version: investigation.resource_version() };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    let api = context.namespaced::<LeakInvestigation>(&investigation.namespace().unwrap_or_default());
    match api.delete(&investigation.name_any(), &params).await {
        Ok(_) => Ok(()),
        Err(source) if is_gone(&source) => Ok(()),
        Err(source) => Err(ReconcileError::api("delete an investigation", source)),
    }
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// How long to hold back a status in which only numbers changed.
fn rest_of_quiet(observed: &Observed, new: &LeakInvestigationStatus) -> Option<SignedDuration> {
    let old = observed.investigation.status.as_ref()?;
    if gist(old) != gist(new) {
        return None;
    }
    rest_after(observed.now.duration_since(last_write(&observed.investigation)?))
}

/// After a clock was set back, or beside an API server whose clock is ahead, the last write lies in the future.
fn rest_after(last_write: SignedDuration) -> Option<SignedDuration> {
    let rest = QUIET - last_write.abs();
    rest.is_positive().then_some(rest)
}

/// What of a status is never held back.
fn gist(status: &LeakInvestigationStatus) -> impl PartialEq {
    let conditions: Vec<_> = status
        .conditions
        .iter()
        .map(|condition| (condition.type_.clone(), condition.status, condition.reason.clone()))
        .collect();
    let targets: Vec<_> = status
        .targets
        .iter()
        .map(|target| {
            let kills = target.memory.as_ref().and_then(|memory| memory.oom_kills);
            (target.pod_uid.clone(), target.reason.clone(), target.restarts, target.epochs, kills)
        })
        .collect();
    (conditions, targets, status.reports.len(), status.observed_generation)
}

/// When we last wrote the status, as the API server noted it.
fn last_write(investigation: &LeakInvestigation) -> Option<Timestamp> {
    let entries = investigation.metadata.managed_fields.iter().flatten();
    let ours = entries.filter(|entry| {
        entry.manager.as_deref() == Some(OPERATOR_ACCOUNT) && entry.subresource.as_deref() == Some("status")
    });
    ours.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_held_back_for_ten_seconds_whatever_the_clocks_say() {
        let rest = |since| rest_after(SignedDuration::from_secs(since)).map(|rest| rest.as_secs());
        for (since, held) in
            [(0, Some(10)), (9, Some(1)), (10, None), (3600, None), (-1, Some(9)), (-3600, None)]
        {
            assert_eq!(rest(since), held, "{since}");
        }
    }
}
