//! /healthz, /readyz and /metrics. Nothing here changes anything: nobody gives this agent orders but the API server.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use warp::{Filter, Reply, http::StatusCode};

use crate::metrics;

/// An agent whose loop did not turn for so long hangs.
const HUNG: Duration = Duration::from_mins(1);

/// What the probes of the kubelet ask about.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    began: Instant,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Milliseconds from the beginning to the last turn of the loop.
    turned_ms: AtomicU64,
    listed: AtomicBool,
    draining: AtomicBool,
}

impl Health {
    /// From now on.
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), inner: Arc::default() }
    }

    /// The loop turned.
    pub(crate) fn turn(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.inner.turned_ms.store(now, Ordering::Relaxed);
    }

    /// The probes of this node are known.
    pub(crate) fn listed(&self) {
        self.inner.listed.store(true, Ordering::Relaxed);
    }

    /// No new probe is begun.
    pub(crate) fn draining(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    /// Does not depend on the API server: a restart would not mend that, and would end what is being watched.
    fn alive(&self) -> Result<(), &'static str> {
        let turned = Duration::from_millis(self.inner.turned_ms.load(Ordering::Relaxed));
        match self.began.elapsed().saturating_sub(turned) < HUNG {
            true => Ok(()),
            false => Err("the agent's loop has not turned for a minute"),
        }
    }

    fn ready(&self) -> Result<(), &'static str> {
        self.alive()?;
        if self.inner.draining.load(Ordering::Relaxed) {
            return Err("the agent is ending");
        }
        match self.inner.listed.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(
                "the LeakProbes of this node are not known yet: is the API server reachable, and the Role bound?",
            ),
        }
    }
}

/// Serves until cancelled. An address that cannot be had is an error at once.
pub(crate) async fn serve(
    address: SocketAddr,
    health: Health,
    registry: Arc<Registry>,
    stop: CancellationToken,
) -> std::io::Result<JoinHandle<()>> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving /healthz, /readyz and /metrics");
    let (alive, ready) = (health.clone(), health);
    let healthz = warp::path!("healthz").map(move || answer(alive.alive()));
    let readyz = warp::path!("readyz").map(move || answer(ready.ready()));
    let metrics = warp::path!("metrics").map(move || match metrics::render(&registry) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            warp::reply::with_header(text, "content-type", kind).into_response()
        }
        Err(error) => {
            warp::reply::with_status(error.to_string(), StatusCode::INTERNAL_SERVER_ERROR).into_response()
        }
    });
    let routes = warp::get().and(healthz.or(readyz).or(metrics));
    let server = warp::serve(routes).incoming(listener).graceful(async move { stop.cancelled().await });
    Ok(tokio::spawn(server.run()))
}

fn answer(state: Result<(), &'static str>) -> impl Reply + use<> {
    match state {
        Ok(()) => warp::reply::with_status("ok", StatusCode::OK),
        Err(why) => warp::reply::with_status(why, StatusCode::SERVICE_UNAVAILABLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_the_probes_are_known_and_wanted() {
        let health = Health::begin();
        assert!(health.alive().is_ok() && health.ready().is_err());
        health.listed();
        assert!(health.ready().is_ok());
        health.draining();
        assert!(health.alive().is_ok());
        assert_eq!(health.ready(), Err("the agent is ending"));
    }

    #[test]
    fn a_loop_that_does_not_turn_is_not_alive() {
        let began = Instant::now().checked_sub(HUNG * 2).unwrap();
        let health = Health { began, ..Health::begin() };
        assert!(health.alive().is_err());
        health.turn();
        assert!(health.alive().is_ok());
    }
}
