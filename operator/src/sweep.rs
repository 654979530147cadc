//! Removes what lost its owner: probes and stored recordings of investigations that were deleted, perhaps while nobody watched.
//!
//! There are no finalizers, so a deleted investigation is gone at once, whatever state we are in. What is left is found by its
//! uid. Nothing is removed on the word of a watch alone, which may lag behind: the API is asked again first.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};
use leakhound_crds::{LeakInvestigation, LeakProbe};
use tokio::time::{MissedTickBehavior, interval};

use crate::{context::Context, controller::ReconcileError};

/// Between two looks for probes without an owner: in memory, so that deleting an investigation takes its probes off within
/// seconds.
const PROBES: Duration = Duration::from_secs(2);

/// Sweeps for as long as it is polled.
pub(crate) async fn sweep(context: Arc<Context>) {
    let mut probes = interval(PROBES);
    let mut store = interval(context.settings.sweep_interval);
    for ticks in [&mut probes, &mut store] {
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        let result = tokio::select! {
            _ = probes.tick() => sweep_probes(&context).await,
            _ = store.tick() => sweep_store(&context).await,
        };
        if let Err(error) = result {
            context.metrics.reconcile_failed(error.kind());
            tracing::warn!(%error, "sweep");
            tokio::time::sleep(PROBES).await;
        }
    }
}

async fn sweep_probes(context: &Context) -> Result<(), ReconcileError> {
    let known: BTreeSet<String> =
        context.investigations.state().iter().filter_map(|investigation| investigation.uid()).collect();
    let orphans = context.probes.state_filter(|probe| !known.contains(&probe.spec.investigation.uid));
    for probe in orphans {
        let owner = &probe.spec.investigation;
        let api: Api<LeakInvestigation> = context.namespaced(&owner.namespace);
        let found = api
            .get_metadata_opt(&owner.name)
            .await
            .map_err(|source| ReconcileError::api("get an investigation", source))?;
        if found.is_some_and(|found| found.uid().as_deref() == Some(&owner.uid)) {
            continue;
        }
        tracing::info!(
            probe = probe.name_any(),
            investigation = owner.name,
            "removing a probe without an owner"
        );
        match context.own::<LeakProbe>().delete(&probe.name_any(), &DeleteParams::default()).await {
            Ok(_) => context.metrics.swept(),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(source) => return Err(ReconcileError::api("delete a probe", source)),
        }
    }
    Ok(())
}

/// The store is listed before the API, so that what was stored for an investigation made in between is not taken for an orphan.
async fn sweep_store(context: &Context) -> Result<(), ReconcileError> {
    let leftovers = context.storage.remove_leftovers().await?;
    if leftovers > 0 {
        tracing::info!(leftovers, "removed files that were never written to their end");
    }
    let stored = context.storage.investigations().await?;
    if stored.is_empty() {
        return Ok(());
    }
    let api: Api<LeakInvestigation> = Api::all(context.client.clone());
    let mut alive = BTreeSet::new();
    let mut params = ListParams::default().limit(500);
    loop {
        let page = api
            .list_metadata(&params)
            .await
            .map_err(|source| ReconcileError::api("list investigations", source))?;
        alive.extend(page.items.iter().filter_map(ResourceExt::uid));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    for uid in stored.into_iter().filter(|uid| !alive.contains(uid)) {
        tracing::info!(uid, "removing recordings and reports of an investigation that was deleted");
        context.storage.remove(&uid).await?;
        context.metrics.swept();
    }
    Ok(())
}
