//! Leakhound on a cluster: `leakhound cluster ...`, or `kubectl leak ...` where this program is called kubectl-leak.
//!
//! ```text
//! args      the command line as typed
//! access    kubeconfig -> API server
//! run       a wish -> LeakInvestigation -> follow -> show
//! list, show, stop, doctor
//! report    status.reports -> forward (a connection to the operator through the API server) -> file
//! refusal   what the API server refuses -> a sentence that says what to do next
//! ```
//!
//! Everything that a user can do here, `kubectl apply` and `kubectl get` can do as well.

mod access;
pub(crate) mod args;
mod doctor;
mod follow;
mod forward;
mod list;
mod refusal;
mod report;
mod run;
mod show;
mod stop;

use std::fmt;

use anyhow::{Context, Result};

use crate::Outcome;
use access::Access;
use args::{Cluster, Command};

/// By which name this was called, which is how users are told to call it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    /// `leakhound cluster`
    Leakhound,
    /// `kubectl leak`
    Kubectl,
}

impl fmt::Display for Called {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Leakhound => "leakhound cluster",
            Self::Kubectl => "kubectl leak",
        })
    }
}

/// Does what was asked of the cluster.
pub(crate) fn cluster(asked: &Cluster, called: Called) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot set up networking")?;
    runtime.block_on(async {
        let access = Access::open(&asked.access, called).await?;
        match &asked.command {
            Command::Run(run) => run::run(&access, run).await,
            Command::List(list) => list::list(&access, list).await,
            Command::Show(show) => show::show(&access, show).await,
            Command::Report(report) => report::report(&access, report).await,
            Command::Stop(stop) => stop::stop(&access, stop).await,
            Command::Doctor(doctor) => doctor::doctor(&access, doctor).await,
        }
    })
}
