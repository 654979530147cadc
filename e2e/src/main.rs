//! Brings up what a person needs to see Leakhound on a cluster: the cluster, images for it, and pods that leak.
#![allow(clippy::print_stdout, reason = "this is a program for a terminal")]

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use leakhound_e2e::cluster::Cluster;
use leakhound_e2e::command::run;
use leakhound_e2e::examples::Examples;
use leakhound_e2e::image::Image;
use leakhound_e2e::leaky::{self, Leaky};
use leakhound_e2e::testbed::{Provider, Testbed};
use leakhound_e2e::{demo, installation, product};
use tracing_subscriber::EnvFilter;

/// A real cluster on this machine, with Leakhound and with pods that leak.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the cluster's state lives; everything in it goes with `down`
    #[arg(long, global = true, default_value_os_t = Cluster::default_dir())]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring up a Kubernetes cluster with one node: on kind where Docker and kind are, else with daemons of its own, as root
    Up,
    /// End it, and remove everything it left
    Down,
    /// Put Leakhound on it with Helm, from images of what the sources are now
    Install {
        /// Values of the chart, NAME=VALUE
        #[arg(long)]
        set: Vec<String>,
    },
    /// Start pods with example programs in namespace default
    Pods {
        /// Their names; all of them when none is given
        names: Vec<String>,
    },
    /// All of it, and an investigation from apply to verdict
    Demo {
        /// Where the report goes
        #[arg(long, default_value = "report.html")]
        report: PathBuf,
    },
    /// Write images as OCI archives: leakhound-operator, leakhound-agent, or of an example
    Image {
        /// Where the archives go
        #[arg(long, default_value = ".")]
        into: PathBuf,
        /// Which ones
        #[arg(required = true)]
        names: Vec<String>,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube_client=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    let Arguments { dir, command } = Arguments::parse();
    let provider = Provider::choose()?;
    match command {
        Command::Up => tell(&Testbed::up(provider, &dir).await?),
        Command::Down => Testbed::down(provider, &dir).await?,
        Command::Install { set } => {
            let testbed = Testbed::up(provider, &dir).await?;
            installation::load_images(&testbed)?;
            installation::install(&testbed, &set.iter().map(String::as_str).collect::<Vec<_>>()).await?;
            tell(&testbed);
        }
        Command::Pods { names } => {
            let wanted = match names.as_slice() {
                [] => leaky::ALL.iter().collect(),
                names => names.iter().map(|name| Leaky::named(name)).collect::<Result<Vec<_>>>()?,
            };
            let testbed = Testbed::up(provider, &dir).await?;
            let examples = Examples::build()?;
            for leaky in wanted {
                testbed.load(&leaky.image(&examples)?)?;
                leaky::start(&testbed, leaky, "default")?;
            }
            run(&mut testbed.kubectl(&["get", "pods"]))?;
        }
        Command::Demo { report } => demo::run(provider, &dir, &report).await?,
        Command::Image { into, names } => {
            ensure!(into.is_dir(), "{} is no folder", into.display());
            for name in names {
                let archive = into.join(&name).with_extension("tar");
                image(&name)?.write(&archive)?;
                println!("{}", archive.display());
            }
        }
    }
    Ok(())
}

fn image(name: &str) -> Result<Image> {
    match name {
        "leakhound-operator" => product::operator(),
        "leakhound-agent" => product::agent(),
        example => Leaky::named(example)
            .context("nor is it leakhound-operator or leakhound-agent")?
            .image(&Examples::build()?),
    }
}

fn tell(testbed: &Testbed) {
    println!("The cluster is up.");
    println!("  export KUBECONFIG={}", testbed.kubeconfig().display());
    println!("  alias kubectl={}", testbed.kubectl(&[]).get_program().to_string_lossy());
}
