//! A real Kubernetes cluster with one node, without Docker: every daemon runs on this machine, in a network and with folders of its own.
//!
//! Everything that belongs to a cluster is a member of one cgroup. Ending its members ends the cluster, and the kernel then takes back
//! the mounts, the network and the probes that they held. So `down` works from the folder's name alone, whatever happened before.

mod cgroup;
mod credentials;
mod daemons;
mod layout;
mod node;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Node as NodeObject, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use cgroup::Cgroup;
pub use layout::{Layout, NODE};
use node::{Daemon, Node};

use crate::command::{output, run};
use crate::image::Image;
use crate::tools::{Tools, target_dir, workspace};
use crate::wait::until;

/// Says that a folder is ours to empty.
const MARKER: &str = "leakhound-cluster";
/// Seconds, on a machine with nothing else to do.
const START: Duration = Duration::from_secs(240);

/// A cluster that is up. Dropping it leaves it up: it belongs to its folder, not to a process.
#[derive(Debug, Clone)]
pub struct Cluster {
    layout: Layout,
    node: Node,
    tools: PathBuf,
}

impl Cluster {
    /// Where `make cluster` keeps its cluster.
    pub fn default_dir() -> PathBuf {
        target_dir().join("e2e/cluster")
    }

    /// Brings a cluster up, and waits until its node is ready; a cluster that is up already is taken as it is.
    ///
    /// # Errors
    /// When a program is missing or a daemon does not come up, with the end of its log. What had been started is ended; the logs stay.
    pub async fn up(dir: &Path) -> Result<Self> {
        let tools = Tools::build(&Tools::ALL)?;
        if let Ok(cluster) = Self::open(dir).await {
            return Ok(cluster);
        }
        let layout = Layout::of(dir)?;
        let cgroup = Cgroup::named(&layout.name())?;
        cgroup.destroy().await?; // what a crash left behind
        clear(&layout)?;
        fs::write(layout.path(MARKER), "`leakhound-e2e cluster down` removes this folder.\n")?;
        match Self::start(&layout, &cgroup, &tools).await {
            Ok(cluster) => Ok(cluster),
            Err(error) => {
                cgroup.destroy().await?;
                Err(error).with_context(|| {
                    format!("the cluster did not come up: see {}", layout.path("log").display())
                })
            }
        }
    }

    /// The cluster of this folder, which must be up.
    ///
    /// # Errors
    /// When there is none, or its API server does not answer.
    pub async fn open(dir: &Path) -> Result<Self> {
        ensure!(
            dir.join(MARKER).exists(),
            "no cluster in {}: bring one up with `make cluster`",
            dir.display()
        );
        let layout = Layout::of(dir)?;
        let tools = Tools::build(&[])?;
        let node = Node::find(&layout, &Cgroup::named(&layout.name())?, &tools)?;
        let cluster = Self { layout, node, tools };
        client_of(&cluster.layout.kubeconfig())
            .await?
            .apiserver_version()
            .await
            .context("the cluster's API server does not answer")?;
        Ok(cluster)
    }

    /// Ends the cluster of this folder and removes the folder. Doing it twice is no error.
    ///
    /// # Errors
    /// When something cannot be ended or removed; it can be tried again.
    pub async fn down(dir: &Path) -> Result<()> {
        if !dir.exists() {
            return Ok(());
        }
        ensure!(
            dir.join(MARKER).exists(),
            "{} holds no cluster (no file {MARKER}), so nothing in it is touched",
            dir.display()
        );
        let layout = Layout::of(dir)?;
        let cgroup = Cgroup::named(&layout.name())?;
        cgroup.destroy().await?;
        let device = Path::new("/sys/class/net").join(layout.host_device());
        until("the cluster's network is gone", Duration::from_secs(60), async || {
            // It goes with the node's network, but the kernel may take its time for that.
            let deleted = run(Command::new("ip").args(["link", "delete", &layout.host_device()]));
            ensure!(!device.exists(), "{} is still there: {deleted:?}", device.display());
            Ok(())
        })
        .await?;
        fs::remove_dir_all(layout.dir()).with_context(|| format!("cannot remove {}", layout.dir().display()))
    }

    async fn start(layout: &Layout, cgroup: &Cgroup, tools: &Path) -> Result<Self> {
        credentials::write(layout)?;
        cgroup.create()?;
        let (node, keeper) = Node::create(layout, cgroup, tools).await?;
        let cluster = Self { layout: layout.clone(), node, tools: tools.to_owned() };
        let mut started = vec![keeper];
        let node = &cluster.node;

        fs::create_dir_all(layout.path("cni"))?;
        fs::write(layout.path("cni/10-bridge.conflist"), daemons::network().to_string())?;
        fs::write(layout.path("containerd.toml"), daemons::containerd_config(layout))?;
        fs::write(layout.path("kubelet.json"), daemons::kubelet_config(layout, &cgroup.path()).to_string())?;
        fs::write(layout.path("Corefile"), daemons::dns_config(layout))?;

        started.push(node.start_system("etcd", &daemons::etcd(layout))?);
        started.push(node.start("kube-apiserver", &daemons::api_server(layout))?);
        started.push(node.start("containerd", &daemons::containerd(layout))?);
        let client = client_of(&layout.kubeconfig()).await?;
        until("the API server is ready", START, async || {
            check(&mut started)?;
            client.request_text(http_get("/readyz")?).await.context("not ready")
        })
        .await?;
        started.push(node.start("kube-controller-manager", &daemons::controller_manager(layout))?);
        started.push(node.start("kube-scheduler", &daemons::scheduler(layout))?);
        cluster.load_pause(&mut started).await?;
        started.push(node.start("kubelet", &daemons::kubelet(layout))?);
        started.push(node.start("kube-proxy", &daemons::proxy(layout))?);
        started.push(node.start("coredns", &daemons::dns(layout))?);
        cluster.publish_dns(&client).await?;
        until("the node is ready", START, async || {
            check(&mut started)?;
            node_ready(&client).await
        })
        .await?;
        // The controller manager makes it a moment later, and no pod starts without it.
        let accounts = Api::<ServiceAccount>::namespaced(client, "default");
        until("the default service account is there", START, async || {
            check(&mut started)?;
            Ok(accounts.get("default").await?)
        })
        .await?;
        Ok(cluster)
    }

    /// The image of every pod's first process is built here, too: nothing is fetched.
    async fn load_pause(&self, started: &mut [Daemon]) -> Result<()> {
        let program = self.layout.path("pause");
        let source = workspace().join("e2e/images/pause.c");
        run(Command::new("cc").args(["-static", "-O2", "-s", "-o"]).arg(&program).arg(source))?;
        let image = Image::named(daemons::PAUSE).program("/pause", &program)?.entrypoint(&["/pause"]);
        let archive = self.layout.path("pause.tar");
        image.write(&archive)?;
        until("containerd takes images", START, async || {
            check(started)?;
            self.load(&archive)
        })
        .await
    }

    async fn publish_dns(&self, client: &Client) -> Result<()> {
        let [service, slice] = daemons::dns_service(&self.layout);
        let services = Api::<Service>::namespaced(client.clone(), "kube-system");
        until("the namespace of the DNS service is there", START, async || {
            Ok(services.create(&PostParams::default(), &serde_json::from_value(service.clone())?).await?)
        })
        .await?;
        let slices = Api::<EndpointSlice>::namespaced(client.clone(), "kube-system");
        slices.create(&PostParams::default(), &serde_json::from_value(slice)?).await?;
        Ok(())
    }

    /// Folder, names and addresses.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Loads an image archive into the node. Pods need `imagePullPolicy: Never`.
    ///
    /// # Errors
    /// When containerd refuses it.
    pub fn load(&self, archive: &Path) -> Result<()> {
        let mut ctr = self.node.inside(self.tools.join("ctr"));
        ctr.args(["--address", daemons::CONTAINERD, "--namespace", "k8s.io", "images", "import"]);
        run(ctr.arg(archive.canonicalize()?)).with_context(|| format!("cannot load {}", archive.display()))
    }

    /// The names of the images that the node has.
    ///
    /// # Errors
    /// When containerd does not answer.
    pub fn images(&self) -> Result<Vec<String>> {
        let mut ctr = self.node.inside(self.tools.join("ctr"));
        let list = ctr.args([
            "--address",
            daemons::CONTAINERD,
            "--namespace",
            "k8s.io",
            "images",
            "list",
            "--quiet",
        ]);
        Ok(output(list)?.lines().map(ToOwned::to_owned).collect())
    }
}

/// A client with the rights of a kubeconfig.
///
/// # Errors
/// When the file cannot be read.
pub async fn client_of(kubeconfig: &Path) -> Result<Client> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Empties the folder, if it is one of ours.
fn clear(layout: &Layout) -> Result<()> {
    let dir = layout.dir();
    let empty = fs::read_dir(dir)?.next().is_none();
    if !empty && !layout.path(MARKER).exists() {
        bail!("{} is not empty and holds no cluster: choose another folder", dir.display());
    }
    fs::remove_dir_all(dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    Ok(fs::create_dir_all(dir)?)
}

fn check(started: &mut [Daemon]) -> Result<()> {
    started.iter_mut().try_for_each(Daemon::check)
}

fn http_get(path: &str) -> Result<http::Request<Vec<u8>>> {
    Ok(http::Request::get(path).body(Vec::new())?)
}

async fn node_ready(client: &Client) -> Result<()> {
    let node = Api::<NodeObject>::all(client.clone()).get(NODE).await?;
    let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
    let ready =
        conditions.iter().find(|condition| condition.type_ == "Ready").context("not registered yet")?;
    let message = ready.message.as_deref().unwrap_or_default();
    ensure!(ready.status == "True", "{NODE} is not ready: {message}");
    Ok(())
}
