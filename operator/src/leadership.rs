//! Who leads. The library takes and renews the Lease; whether we may still believe that we hold it, we decide ourselves.
//!
//! While the API server cannot be reached the library says nothing, and a replica that was cut off would go on leading. So the
//! Lease is read besides: who has not seen its own name in a fresh Lease for the Lease's whole duration does not lead.
//!
//! The library also sleeps until another one's Lease would run out, whether or not it is given back. So who sees it given back
//! takes part anew.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManagerBuilder, LeaseParams};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::settings::Settings;

const LEASE: &str = "leakhound-operator";
const RETRY: Duration = Duration::from_secs(3);
/// How long giving the Lease back may take at the end: a kubelet does not wait for ever.
const GIVE_BACK: Duration = Duration::from_secs(10);

/// Takes part in the election until `stop`, and gives the Lease back then. The value says whether we lead.
pub(crate) fn take_part(
    client: Client,
    settings: &Settings,
    stop: CancellationToken,
) -> (watch::Receiver<bool>, tokio::task::JoinHandle<()>) {
    let (sender, receiver) = watch::channel(false);
    let (namespace, identity) = (settings.namespace.clone(), settings.identity.clone());
    let duration = settings.lease_duration.max(Duration::from_secs(3));
    let task = tokio::spawn(async move {
        while !stop.is_cancelled() {
            // Not in a select: what listens to `stop` in there has to give the Lease back before it ends.
            let pause = match hold(&client, &namespace, &identity, duration, &sender, &stop).await {
                Left::Free => Duration::ZERO,
                Left::Broken => RETRY,
            };
            sender.send_replace(false);
            tokio::select! { () = sleep(pause) => {}, () = stop.cancelled() => {} }
        }
    });
    (receiver, task)
}

/// Why a stay in the election ended.
enum Left {
    /// Another one gave the Lease back: there is one to take.
    Free,
    /// An error of the library, or the end.
    Broken,
}

/// One stay in the election.
async fn hold(
    client: &Client,
    namespace: &str,
    identity: &str,
    duration: Duration,
    sender: &watch::Sender<bool>,
    stop: &CancellationToken,
) -> Left {
    let params = LeaseParams::new(identity, duration.as_secs(), (duration.as_secs() / 3).max(1));
    let builder =
        LeaseManagerBuilder::new(client.clone(), LEASE).with_namespace(namespace).with_parameters(params);
    let manager = tokio::select! {
        built = builder.build() => match built {
            Ok(manager) => manager,
            Err(error) => {
                tracing::warn!(%error, "cannot take part in leader election");
                return Left::Broken;
            }
        },
        () = stop.cancelled() => return Left::Broken,
    };
    let (mut claims, task) = manager.watch().await;
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let mut confirmed: Option<Instant> = None;
    let mut is_others = false;
    let mut ticks = interval(duration / 6);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let left = loop {
        tokio::select! {
            changed = claims.changed() => if changed.is_err() { break Left::Broken },
            _ = ticks.tick() => {}
            () = stop.cancelled() => break Left::Broken,
        }
        let asked = Instant::now();
        let answer = tokio::select! {
            answer = timeout(duration / 6, leases.get(LEASE)) => answer,
            () = stop.cancelled() => break Left::Broken,
        };
        if let Ok(Ok(lease)) = answer {
            let holder = holder(&lease);
            if is_others && holder.is_none() {
                break Left::Free;
            }
            is_others = holder.is_some_and(|holder| holder != identity);
            confirmed = (holder == Some(identity)).then_some(asked);
        }
        let leads = *claims.borrow_and_update() && confirmed.is_some_and(|at| at.elapsed() < duration);
        if sender.send_if_modified(|value| std::mem::replace(value, leads) != leads) {
            tracing::info!(identity, leads, "leadership");
        }
    };
    sender.send_replace(false);
    drop(claims); // the library gives the Lease back when nobody listens any more
    match timeout(duration.min(GIVE_BACK), task).await {
        Ok(Ok(Ok(_))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the leader's Lease was not given back"),
        Ok(Err(_)) | Err(_) => tracing::warn!("the leader's Lease was not given back in time"),
    }
    left
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}
