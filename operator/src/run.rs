//! From settings to a running operator, and to its end.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use kube::Client;
use tokio::{net::TcpListener, sync::watch, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin,
    authority::{self, AuthorityError, Pair},
    definitions,
    health::{Health, Part},
    lead::{Realm, lead},
    leadership,
    metrics::Metrics,
    reports,
    serve::serve,
    settings::Settings,
    storage::Storage,
    tls::ServedCertificate,
    upload,
};

/// Between two tries of something without which we cannot begin.
const RETRY: Duration = Duration::from_secs(5);

/// Runs until a signal.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let stop = stop_on_signal()?;
    let settings = Arc::new(settings);
    let storage = Storage::open(&settings.store)?;
    let client = Client::try_default()
        .await
        .context("no way to the API server: run in a pod with a service account, or set KUBECONFIG")?;
    let (metrics, health) = (Metrics::default(), Health::default());
    let certificate = ServedCertificate::default();
    let (leading, leading_view) = watch::channel(None);

    let bind = async |address, what: &str| {
        let listener = TcpListener::bind(address).await;
        listener.with_context(|| format!("cannot listen on {address} for {what}"))
    };
    let uploads = bind(settings.upload_listen, "uploads").await?;
    let reports_listener = bind(settings.report_listen, "reports").await?;
    let admin_listener = bind(settings.admin_listen, "health and metrics").await?;
    tracing::info!(
        uploads = %uploads.local_addr()?, reports = %reports_listener.local_addr()?,
        admin = %admin_listener.local_addr()?, "listening"
    );
    let tls = certificate.config().context("cannot set up TLS")?;
    let tasks = TaskTracker::new();
    // Listeners end after the leader has: its last writes may depend on nothing here, but agents may be sending.
    let closing = CancellationToken::new();
    let upload_routes = upload::routes(leading_view, metrics.clone(), settings.upload_limit);
    tasks.spawn(serve(uploads, Some(tls), upload_routes, closing.clone()));
    tasks.spawn(serve(reports_listener, None, reports::routes(storage.clone()), closing.clone()));
    tasks.spawn(serve(admin_listener, None, admin::routes(health.clone(), metrics.clone()), closing.clone()));

    let realm = Realm { client: client.clone(), settings: Arc::clone(&settings), storage, metrics, health };
    // The Lease is given back when the last reconcile has ended, for then another one leads.
    let retire = CancellationToken::new();
    let (leads, election) = leadership::take_part(client.clone(), &settings, retire.clone());
    let certificates = keep_certificate(&realm, &certificate, leads.clone());
    let reign = reign(&realm, &leading, leads, &stop);
    tokio::select! {
        () = certificates => {}
        () = reign => {}
    }
    retire.cancel();
    election.await.context("leader election broke off")?;
    closing.cancel();
    tasks.close();
    tasks.wait().await;
    tracing::info!("stopped");
    Ok(())
}

/// Leads whenever we lead.
async fn reign(
    realm: &Realm,
    leading: &watch::Sender<Option<Arc<crate::context::Context>>>,
    mut leads: watch::Receiver<bool>,
    stop: &CancellationToken,
) {
    tokio::select! {
        () = prepare(realm) => {}
        () = stop.cancelled() => return,
    }
    realm.health.well(Part::Watches); // until we lead there is nothing to watch
    while !stop.is_cancelled() {
        let begun = tokio::select! {
            begun = leads.wait_for(|leads| *leads) => begun.is_ok(),
            () = stop.cancelled() => false,
        };
        if !begun {
            return;
        }
        realm.metrics.leads(true);
        let term = stop.child_token();
        let reigning = lead(realm, leading, term.clone());
        tokio::pin!(reigning);
        tokio::select! {
            () = &mut reigning => {}
            _ = leads.wait_for(|leads| !*leads) => {
                // Whatever a reconcile is about to write, another one may be writing by now.
                tracing::warn!("not the leader any more");
                term.cancel();
            }
            () = stop.cancelled() => {
                if tokio::time::timeout(RETRY, &mut reigning).await.is_err() {
                    tracing::warn!("reconciles were cut off at the end; they are done again by the next leader");
                }
            }
        }
        leading.send_replace(None);
        realm.metrics.leads(false);
        realm.health.well(Part::Watches); // another replica may lead now, and we stand by
    }
}

/// Waits until the store and the definitions can be used.
async fn prepare(realm: &Realm) {
    loop {
        match realm.storage.check().await {
            Ok(()) => realm.health.well(Part::Store),
            Err(error) => {
                let error = with_cause(&error);
                tracing::error!(error, "the report store cannot be used");
                realm.health.ill(Part::Store, error);
                sleep(RETRY).await;
                continue;
            }
        }
        match definitions::check(&realm.client).await {
            Ok(()) => return realm.health.well(Part::Definitions),
            Err(error) => {
                let error = with_cause(&error);
                tracing::error!(error, "the definitions cannot be used");
                realm.health.ill(Part::Definitions, error);
                sleep(RETRY).await;
            }
        }
    }
}

/// Keeps a certificate to serve: the leader makes and rotates it, everybody reads it.
async fn keep_certificate(realm: &Realm, served: &ServedCertificate, mut leads: watch::Receiver<bool>) {
    let names = realm.settings.server_names();
    let mut current = None;
    loop {
        let is_leader = *leads.borrow_and_update();
        let step = async {
            if is_leader {
                authority::publish(&realm.client, &realm.settings.namespace, &names).await?;
            }
            authority::load_leaf(&realm.client, &realm.settings.namespace).await
        };
        match step.await {
            Ok(Some(leaf)) => take_leaf(&realm.health, served, &mut current, leaf),
            Ok(None) if !served.is_there() => {
                realm.health.ill(Part::Certificate, "the leader has made none yet");
            }
            Ok(None) => {}
            Err(error) => report(realm, served, &error),
        }
        let pause =
            if served.is_there() { realm.settings.certificate_interval } else { Duration::from_secs(1) };
        tokio::select! {
            () = sleep(pause) => {}
            changed = leads.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
        }
    }
}

/// Serves a certificate unless it is being served already; one that was broken in between is well then, too.
fn take_leaf(health: &Health, served: &ServedCertificate, current: &mut Option<Pair>, leaf: Pair) {
    if current.as_ref() != Some(&leaf) {
        if let Err(error) = served.replace(&leaf) {
            tracing::warn!(error = with_cause(&error), "certificates");
            return health.ill(Part::Certificate, error.to_string());
        }
        tracing::info!("serving a new certificate");
        *current = Some(leaf);
    }
    health.well(Part::Certificate);
}

fn report(realm: &Realm, served: &ServedCertificate, error: &AuthorityError) {
    let error = with_cause(error);
    tracing::warn!(error, "certificates");
    if !served.is_there() {
        realm.health.ill(Part::Certificate, error);
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("stopping; a second signal ends at once");
        token.cancel();
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        std::process::exit(130);
    });
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_was_broken_and_restored_is_well_again() {
        let (health, served, mut current) = (Health::default(), ServedCertificate::default(), None);
        let is_ill = |health: &Health| health.problems().contains("Certificate");
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let good = Pair { certificate: made.cert.pem(), key: made.signing_key.serialize_pem(), valid: None };
        let broken = Pair { key: "broken".to_owned(), ..good.clone() };
        take_leaf(&health, &served, &mut current, good.clone());
        assert!(!is_ill(&health));
        take_leaf(&health, &served, &mut current, broken);
        assert!(is_ill(&health) && served.is_there());
        take_leaf(&health, &served, &mut current, good);
        assert!(!is_ill(&health), "{}", health.problems());
    }
}
