//! `leakhound-operator`: reconciles LeakInvestigations, receives recordings, serves reports.
//!
//! ```text
//! LeakInvestigation --controller--> LeakProbe --> agent --> upload --> storage --conclusion--> status, reports
//! ```

mod admin;
mod answer;
mod authority;
mod conclusion;
mod context;
mod controller;
mod definitions;
mod events;
#[cfg(test)]
mod fixture;
mod health;
mod hex;
mod lead;
mod leadership;
mod metrics;
mod node;
mod oom;
mod order;
mod pod;
mod queue;
mod refusal;
mod reports;
mod run;
mod serve;
mod settings;
mod stage;
mod status;
mod stop_all;
mod storage;
mod sweep;
mod tls;
mod upload;
mod waiting;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use settings::{Errand, LogFormat, Settings};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Before anything makes a client: without a provider for the whole process reqwest panics.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed");
    }
    let settings = Settings::parse();
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&settings.log)?)
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    match settings.errand {
        Some(Errand::StopAll { patience }) => stop_all::stop_all(patience).await,
        None => run::run(settings).await,
    }
}
