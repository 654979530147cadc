//! Brings up what a person or a test needs to see Leakhound on a cluster.
#![allow(clippy::print_stdout, reason = "this is a program for a terminal")]

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use leakhound_e2e::cluster::Cluster;
use tracing_subscriber::EnvFilter;

/// A real cluster on this machine, and images for it.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A Kubernetes cluster with one node, without Docker. Needs root.
    Cluster {
        /// Where its state lives; everything in it goes with `down`.
        #[arg(long, global = true, default_value_os_t = Cluster::default_dir())]
        dir: PathBuf,
        #[command(subcommand)]
        step: ClusterStep,
    },
}

#[derive(Debug, Subcommand)]
enum ClusterStep {
    /// Bring it up, and wait until its node is ready.
    Up,
    /// End it, and remove everything it left.
    Down,
    /// Say whether it is up, and how to reach it.
    Status,
    /// Load an image archive into its node.
    Load {
        /// An OCI archive.
        archive: PathBuf,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube_client=off")); // attempts may fail
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    match Arguments::parse().command {
        Command::Cluster { dir, step } => match step {
            ClusterStep::Up => tell(&Cluster::up(&dir).await?),
            ClusterStep::Down => Cluster::down(&dir).await?,
            ClusterStep::Status => tell(&Cluster::open(&dir).await?),
            ClusterStep::Load { archive } => Cluster::open(&dir).await?.load(&archive)?,
        },
    }
    Ok(())
}

fn tell(cluster: &Cluster) {
    let kubectl = cluster.kubectl();
    println!("The cluster is up: {}", cluster.layout().server());
    println!("  export KUBECONFIG={}", cluster.layout().kubeconfig().display());
    println!("  alias kubectl={}", kubectl.get_program().to_string_lossy());
}
