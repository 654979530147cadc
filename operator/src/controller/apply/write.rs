//! One write for the whole status: an apply withdraws what it leaves out.
//!
//! It carries the version that it was computed from, so that an object which was made again under the same name inherits no
//! verdict. Whoever writes labels, annotations or managed fields meanwhile changes that version, and not what the status rests
//! on: then the write is repeated with the new version, or a busy writer beside us could keep us from ever saying anything.

use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use leakhound_crds::{LeakInvestigation, LeakInvestigationStatus, names::OPERATOR_ACCOUNT};
use serde_json::json;

use super::{super::ReconcileError, is_gone};
use crate::context::Context;

/// Writes in a row before the reconcile is given up and done again from what is there then.
const TRIES: u32 = 20;

/// Writes the status that was computed from `investigation`.
pub(super) async fn write(
    context: &Context,
    investigation: &LeakInvestigation,
    status: &LeakInvestigationStatus,
) -> Result<(), ReconcileError> {
    let api = context.namespaced::<LeakInvestigation>(&investigation.namespace().unwrap_or_default());
    let params = PatchParams::apply(OPERATOR_ACCOUNT).force();
    let mut version = investigation.resource_version();
    for _ in 0..TRIES {
        let patch = json!({
            "apiVersion": "leakhound.dev/v1alpha1",
            "kind": "LeakInvestigation",
            "metadata": { "name": investigation.name_any(), "resourceVersion": version },
            "status": status,
        });
        let answer = api.patch_status(&investigation.name_any(), &params, &Patch::Apply(&patch)).await;
        match answer.map_err(|source| (is_gone(&source), ReconcileError::api("write a status", source))) {
            Ok(_) => {
                context.metrics.status_written();
                return Ok(());
            }
            Err((true, _)) => return Ok(()),
            Err((_, ReconcileError::Conflict)) => version = version_of_the_same(&api, investigation).await?,
            Err((_, error)) => return Err(error),
        }
    }
    Err(ReconcileError::Conflict)
}

/// The version of an object now, if the status still rests on what is there; a conflict otherwise.
async fn version_of_the_same(
    api: &Api<LeakInvestigation>,
    before: &LeakInvestigation,
) -> Result<Option<String>, ReconcileError> {
    let now = api.get(&before.name_any()).await;
    let now = now.map_err(|source| ReconcileError::api("get an investigation", source))?;
    let same = now.uid() == before.uid()
        && now.metadata.generation == before.metadata.generation
        && now.metadata.deletion_timestamp == before.metadata.deletion_timestamp
        && now.status == before.status;
    same.then(|| now.resource_version()).ok_or(ReconcileError::Conflict)
}
