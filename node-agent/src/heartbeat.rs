//! The agent's Lease: that it is alive, and what its node can do.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use leakhound_crds::{Preflight, names};

use crate::{
    FIELD_MANAGER,
    args::Args,
    metrics::{Metrics, Outcome},
};

/// Time between two renewals.
const EVERY: Duration = Duration::from_secs(20);
/// The operator takes an agent for lost whose Lease was not renewed for so long: two renewals may fail.
const LASTS_SECONDS: i32 = 60;

/// Renews the Lease for as long as it is polled. A renewal that fails is tried again at the next beat.
pub(crate) async fn beat(client: Client, args: Args, preflight: Preflight, metrics: Metrics) {
    let leases: Api<Lease> = Api::namespaced(client, &args.namespace);
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let acquired = Timestamp::now();
    loop {
        ticks.tick().await;
        let result = match lease(&args, &preflight, acquired) {
            Ok(lease) => renew(&leases, &lease).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let outcome = if result.is_ok() { Outcome::OK } else { Outcome::FAILED };
        metrics.renewals.get_or_create(&outcome).inc();
        if let Err(error) = result {
            tracing::warn!(%error, "the Lease was not renewed");
        }
    }
}

async fn renew(leases: &Api<Lease>, lease: &Lease) -> kube::Result<Lease> {
    let name = lease.metadata.name.as_deref().unwrap_or_default();
    leases.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(lease)).await
}

fn lease(args: &Args, preflight: &Preflight, acquired: Timestamp) -> serde_json::Result<Lease> {
    let text = serde_json::to_string(preflight)?;
    Ok(Lease {
        metadata: ObjectMeta {
            name: Some(names::agent_lease(&args.node_name)),
            namespace: Some(args.namespace.clone()),
            annotations: Some([(names::PREFLIGHT.to_owned(), text)].into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(args.pod_name.clone()),
            lease_duration_seconds: Some(LASTS_SECONDS),
            acquire_time: Some(MicroTime(acquired)),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        }),
    })
}
