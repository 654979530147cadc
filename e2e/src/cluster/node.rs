//! The node: a network and a set of mounts of its own, held by one keeper process, and the daemons started inside.
//!
//! Nothing is written to `/run/netns` or to the host's mounts, so that the kernel takes all of it back when the last process ends.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::cgroup::Cgroup;
use super::layout::Layout;
use crate::command::run;
use crate::wait::until;

/// What the keeper does before it falls asleep: the node gets its own runtime, state and log folders. `$1` is the state folder.
/// `/sys` stays the host's: with a new one the kubelet would lose its cgroups.
const KEEP: &str = r#"
mount --make-rshared /
mount --bind "$1/node/lib" /var/lib
mount --bind "$1/node/log" /var/log
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
echo $$ > "$1/keeper.new"
mv "$1/keeper.new" "$1/keeper"
exec sleep infinity
"#;

/// Becomes a member of the cgroup whose list is `$1`, then the program.
const ENTER: &str = r#"echo 0 > "$1"; shift; exec "$@""#;

/// A started program, and the name of its log.
#[derive(Debug)]
pub(super) struct Daemon {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Daemon {
    /// # Errors
    /// When it has ended, with the end of its log.
    pub(super) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended with {status}:\n{}", self.name, tail(&self.log, 20));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.try_wait().ok(); // a daemon outlives us on purpose; one that has ended is taken off the process table
    }
}

/// The last lines of a log, to be shown in an error.
pub(super) fn tail(log: &Path, lines: usize) -> String {
    let text = fs::read_to_string(log).unwrap_or_else(|error| format!("({}: {error})", log.display()));
    let all: Vec<_> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The network and mounts of a cluster that is up.
#[derive(Debug, Clone)]
pub(super) struct Node {
    layout: Layout,
    entrance: PathBuf,
    keeper: i32,
    tools: PathBuf,
}

impl Node {
    /// Makes the node's network, connected to the host by a cable, and its folders. `tools` is the folder of the cluster's programs.
    pub(super) async fn create(layout: &Layout, cgroup: &Cgroup, tools: &Path) -> Result<(Self, Daemon)> {
        for folder in ["node/lib", "node/log", "log"] {
            fs::create_dir_all(layout.path(folder))?;
        }
        // containerd keeps the results of the network plugins in a folder of this fixed name.
        fs::create_dir_all(layout.path("node/lib/cni"))?;
        let entrance = cgroup.entrance()?;
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "--mount", "--propagation", "private", "sh", "-euc", KEEP, "keeper"]);
        unshare.arg(layout.dir());
        let mut daemon = start("keeper", layout, &entrance, &unshare)?;
        let keeper = until("the node has its network and folders", Duration::from_secs(60), async || {
            daemon.check()?;
            Ok(fs::read_to_string(layout.path("keeper"))?.trim().parse()?)
        })
        .await?;
        let node = Self { layout: layout.clone(), entrance, keeper, tools: tools.to_owned() };
        node.connect()?;
        Ok((node, daemon))
    }

    /// The node of a cluster that somebody else brought up.
    pub(super) fn find(layout: &Layout, cgroup: &Cgroup, tools: &Path) -> Result<Self> {
        let keeper = fs::read_to_string(layout.path("keeper"))
            .with_context(|| format!("no cluster in {}", layout.dir().display()))?;
        let keeper = keeper.trim().parse()?;
        // The number may belong to another process by now; the cgroup says whether it is ours.
        ensure!(cgroup.members().contains(&keeper), "the cluster in {} is down", layout.dir().display());
        Ok(Self { layout: layout.clone(), entrance: cgroup.entrance()?, keeper, tools: tools.to_owned() })
    }

    fn connect(&self) -> Result<()> {
        let (device, keeper) = (self.layout.host_device(), self.keeper.to_string());
        let (host, node) = (self.layout.host_address(), self.layout.node_address());
        let on_host = |arguments: &[&str]| run(Command::new("ip").args(arguments));
        let on_node = |arguments: &[&str]| run(self.inside("ip").args(arguments));
        on_host(&["link", "add", &device, "type", "veth", "peer", "name", "eth0", "netns", &keeper])?;
        on_host(&["addr", "add", &format!("{host}/30"), "dev", &device])?;
        on_host(&["link", "set", &device, "up"])?;
        on_node(&["addr", "add", &format!("{node}/30"), "dev", "eth0"])?;
        on_node(&["link", "set", "eth0", "up"])?;
        on_node(&["route", "add", "default", "via", &host.to_string()])
    }

    /// A program that sees the node's network and folders, and finds the cluster's own programs first.
    pub(super) fn inside(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.keeper));
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.keeper));
        command.arg("--").arg(program.as_ref());
        command
            .env("PATH", format!("{}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", self.tools.display()));
        command.current_dir(self.layout.dir());
        command
    }

    /// Starts a daemon of the cluster on the node. It outlives this process.
    pub(super) fn start(&self, name: &str, arguments: &[String]) -> Result<Daemon> {
        let mut command = self.inside(self.tools.join(name));
        command.args(arguments);
        start(name, &self.layout, &self.entrance, &command)
    }

    /// Starts a daemon that the distribution installed.
    pub(super) fn start_system(&self, name: &str, arguments: &[String]) -> Result<Daemon> {
        let mut command = self.inside(name);
        command.args(arguments);
        start(name, &self.layout, &self.entrance, &command)
    }
}

fn start(name: &str, layout: &Layout, entrance: &Path, command: &Command) -> Result<Daemon> {
    let log = layout.log(name);
    let output = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
    let mut shell = Command::new("sh");
    shell.args(["-euc", ENTER, name]).arg(entrance).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        shell.env(key, value.unwrap_or_default());
    }
    shell.current_dir(layout.dir()).process_group(0); // Ctrl-C at the terminal is not meant for the cluster
    shell.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let child = shell.spawn().with_context(|| format!("cannot start {name}"))?;
    Ok(Daemon { name: name.to_owned(), log, child })
}
