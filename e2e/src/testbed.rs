//! The cluster that tests and demonstrations run on, wherever it comes from: only bringing it up and loading images differ.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use kube::Client;

use crate::cluster::{Cluster, client_of};
use crate::command::{output, run};
use crate::image::Image;
use crate::tools::{Tools, target_dir};

/// Name of the cluster and of its node on kind.
const KIND: &str = "leakhound";

/// Where a cluster comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// The daemons run on this machine. Needs root.
    Local,
    /// kind: the node is a Docker container.
    Kind,
}

impl Provider {
    /// What `LEAKHOUND_E2E_PROVIDER` says (`local` or `kind`); without it kind where Docker and kind are, else local.
    ///
    /// # Errors
    /// When the variable names neither.
    pub fn choose() -> Result<Self> {
        match std::env::var("LEAKHOUND_E2E_PROVIDER").as_deref() {
            Ok("local") => Ok(Self::Local),
            Ok("kind") => Ok(Self::Kind),
            Ok(other) => bail!("LEAKHOUND_E2E_PROVIDER is local or kind, not {other}"),
            Err(_) if works("docker", "info") && works("kind", "version") => Ok(Self::Kind),
            Err(_) => Ok(Self::Local),
        }
    }
}

fn works(program: &str, argument: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A cluster that is up.
#[derive(Debug, Clone)]
pub struct Testbed {
    node: Node,
    tools: PathBuf,
    kubeconfig: PathBuf,
}

#[derive(Debug, Clone)]
enum Node {
    Local(Cluster),
    Kind,
}

impl Testbed {
    /// Brings a cluster up, or takes the one that is. `dir` is where its state lives; kind keeps its own, but for the kubeconfig.
    ///
    /// # Errors
    /// When a program is missing, or the cluster does not come up.
    pub async fn up(provider: Provider, dir: &Path) -> Result<Self> {
        let tools = Tools::build(&[Tools::Kubernetes, Tools::Helm])?;
        match provider {
            Provider::Local => {
                let cluster = Cluster::up(dir).await?;
                let kubeconfig = cluster.layout().kubeconfig();
                Ok(Self { node: Node::Local(cluster), tools, kubeconfig })
            }
            Provider::Kind => {
                std::fs::create_dir_all(dir)?;
                let kubeconfig = dir.canonicalize()?.join("admin.conf");
                let kind = |arguments: &[&str]| {
                    let mut kind = Command::new("kind");
                    kind.args(arguments).args(["--name", KIND, "--kubeconfig"]).arg(&kubeconfig);
                    kind
                };
                let there =
                    output(Command::new("kind").args(["get", "clusters"]))?.lines().any(|name| name == KIND);
                let step: &[&str] =
                    if there { &["export", "kubeconfig"] } else { &["create", "cluster", "--wait", "2m"] };
                run(&mut kind(step)).context("kind does not bring the cluster up")?;
                Ok(Self { node: Node::Kind, tools, kubeconfig })
            }
        }
    }

    /// Ends the cluster. Doing it twice is no error.
    ///
    /// # Errors
    /// When something cannot be ended or removed.
    pub async fn down(provider: Provider, dir: &Path) -> Result<()> {
        match provider {
            Provider::Local => Cluster::down(dir).await,
            Provider::Kind => {
                run(Command::new("kind").args(["delete", "cluster", "--name", KIND]))?;
                match std::fs::remove_file(dir.join("admin.conf")) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Puts an image on the node. Pods need `imagePullPolicy: Never`.
    ///
    /// # Errors
    /// When the archive cannot be written, or the node refuses it.
    pub fn load(&self, image: &Image) -> Result<()> {
        let folder = target_dir().join("e2e/images");
        std::fs::create_dir_all(&folder)?;
        let archive = folder.join(image.name().replace(['/', ':'], "_")).with_extension("tar");
        image.write(&archive)?;
        match &self.node {
            Node::Local(cluster) => cluster.load(&archive),
            Node::Kind => {
                run(Command::new("kind").args(["load", "image-archive", "--name", KIND]).arg(&archive))
            }
        }
    }

    /// A client with the administrator's rights.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        client_of(&self.kubeconfig).await
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// `kubectl`, as the administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> Command {
        self.tool("kubectl", arguments)
    }

    /// `helm`, as the administrator.
    pub fn helm(&self, arguments: &[&str]) -> Command {
        self.tool("helm", arguments)
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.tools.join(name));
        command.env("KUBECONFIG", &self.kubeconfig).args(arguments).stdin(Stdio::null());
        command
    }
}
