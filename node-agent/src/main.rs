//! `leakhound-agent`: watches the LeakProbes of one node, runs the tracer, uploads recordings.
//!
//! ```text
//! node       which probes are there            <- API server
//! decision   what to do about each             (pure)
//! container  which cgroup, which processes     <- cgroup tree
//! watching   the tracer on a thread            -> spool
//! digest     what it says so far               -> status
//! work       the order of all that, for one probe
//! upload     the recording                     -> operator
//! ```
//!
//! Nobody gives it orders but the API server: it listens only for health checks and metrics.

mod admin;
mod args;
mod clock;
mod container;
mod context;
mod decision;
mod digest;
#[cfg(test)]
mod fixture;
mod heartbeat;
mod metrics;
mod node;
mod outcome;
mod preflight;
mod profile;
mod spool;
mod status;
mod upload;
mod watching;
mod work;

use std::{io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser;
use kube::{Api, Client};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, fmt};

use args::{Args, LogFormat};
use context::Context;

/// Field manager of everything that agents write.
const FIELD_MANAGER: &str = "leakhound-agent";
/// What the runtime waits for at the end: all work has ended or was cut off before.
const LAST_BREATH: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let args = Args::parse();
    log(args.log_format);
    // reqwest and kube look for it; a second installation would be an error, and is none here
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let result = runtime::Builder::new_multi_thread().enable_all().build().context("cannot start").and_then(
        |runtime| {
            let result = runtime.block_on(run(args));
            runtime.shutdown_timeout(LAST_BREATH);
            result
        },
    );
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let drain = CancellationToken::new();
    end_on_signals(drain.clone())?;
    let metrics = metrics::Metrics::default();
    let health = admin::Health::begin();
    let stop_serving = CancellationToken::new();
    let admin = admin::serve(args.admin_listen, health.clone(), metrics.register(), stop_serving.clone())
        .await
        .with_context(|| format!("cannot listen on {}", args.admin_listen))?;
    let capabilities = tokio::task::spawn_blocking(preflight::probe).await?;
    let preflight = preflight::preflight(&capabilities);
    tracing::info!(kernel = preflight.kernel, attach = preflight.attach, "asked what this node can do");
    for (mode, obstacle) in preflight.obstacles() {
        tracing::warn!(?mode, obstacle, "a mode does not work on this node");
    }
    let spool = spool::Spool::open(&args.spool, args.spool_mib << 20)?;
    let client = Client::try_default().await.context("cannot find the API server")?;
    let context = Context {
        api: Api::namespaced(client.clone(), &args.namespace),
        speaker: status::Speaker { pod: args.pod_name.clone(), run: uuid::Uuid::new_v4().to_string() },
        capabilities: Arc::new(capabilities),
        cgroup_root: args.cgroup_root.clone(),
        spool,
        recording_bytes: args.recording_mib << 20,
        uploads: upload::Uploads::new(
            args.operator_url.clone(),
            args.ca_file.clone(),
            args.token_file.clone(),
        ),
        places: Arc::new(Semaphore::new(args.max_probes.into())),
        most: args.max_probes.into(),
        metrics: metrics.clone(),
        drain,
    };
    let node_name = args.node_name.clone();
    let heart = tokio::spawn(heartbeat::beat(client, args, preflight, metrics));
    node::watch(context, health, &node_name).await;
    heart.abort();
    stop_serving.cancel();
    tokio::time::timeout(LAST_BREATH, admin).await.ok();
    tracing::info!("ended");
    Ok(())
}

fn end_on_signals(drain: CancellationToken) -> Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to end: taking the probes off");
        drain.cancel();
    });
    Ok(())
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("LEAKHOUND_LOG").unwrap_or_else(|_unset| EnvFilter::new("info"));
    let log =
        fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
