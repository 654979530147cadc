//! The cgroup that holds every process of a cluster, daemons and pods alike: what is in it is ours, and nothing else is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wait::until;

const ROOT: &str = "/sys/fs/cgroup";
/// The kernel takes off an agent's probes while it ends; on a busy machine that takes its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// One cgroup of this name in each hierarchy: many with cgroup v1, a single one with v2.
#[derive(Debug, Clone)]
pub(super) struct Cgroup {
    folders: Vec<PathBuf>,
    name: String,
}

impl Cgroup {
    /// Names the cgroup; makes nothing.
    pub(super) fn named(name: &str) -> Result<Self> {
        Self::below(Path::new(ROOT), name)
    }

    fn below(root: &Path, name: &str) -> Result<Self> {
        if root.join("cgroup.controllers").exists() {
            return Ok(Self { folders: vec![root.join(name)], name: name.to_owned() });
        }
        let mut folders = Vec::new();
        for entry in fs::read_dir(root).with_context(|| format!("no cgroups at {}", root.display()))? {
            let hierarchy = entry?.path();
            if hierarchy.join("cgroup.procs").exists() && !hierarchy.is_symlink() {
                folders.push(hierarchy.join(name));
            }
        }
        if folders.is_empty() {
            bail!("no cgroup hierarchy is mounted at {}", root.display());
        }
        folders.sort();
        Ok(Self { folders, name: name.to_owned() })
    }

    /// As the kubelet wants it: the path from the root of the hierarchies.
    pub(super) fn path(&self) -> String {
        format!("/{}", self.name)
    }

    /// Makes the cgroup in every hierarchy, and a child for the daemons.
    pub(super) fn create(&self) -> Result<()> {
        for folder in &self.folders {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the cgroup {}", folder.display()))?;
            // A new cpuset is empty, and no process may enter it until it has the processors and memory of its parent.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let (ours, parents) = (folder.join(file), folder.with_file_name(file));
                if ours.exists() && parents.exists() {
                    fs::write(&ours, fs::read_to_string(&parents)?)
                        .with_context(|| format!("cannot fill {}", ours.display()))?;
                }
            }
        }
        if let Some(folder) = self.daemons() {
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make the cgroup {}", folder.display()))?;
        }
        Ok(())
    }

    /// Where the daemons live: with cgroup v1 `pids` alone, which every kernel for containers has and which costs nothing.
    fn daemons(&self) -> Option<PathBuf> {
        let only = if self.folders.len() == 1 { self.folders.first() } else { None };
        only.or_else(|| self.folders.iter().find(|folder| folder.starts_with(Path::new(ROOT).join("pids"))))
            .map(|folder| folder.join("daemons"))
    }

    /// The file to which a new daemon writes 0 to become a member.
    pub(super) fn entrance(&self) -> Result<PathBuf> {
        let folder = self.daemons().context("no pids hierarchy is mounted below /sys/fs/cgroup")?;
        Ok(folder.join("cgroup.procs"))
    }

    /// Every process in the cgroup or below it.
    pub(super) fn members(&self) -> BTreeSet<i32> {
        self.tree()
            .iter()
            .filter_map(|folder| fs::read_to_string(folder.join("cgroup.procs")).ok()) // gone in between: nobody in it
            .flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<i32>>())
            .collect()
    }

    /// All cgroups below this one and itself, parents first.
    fn tree(&self) -> Vec<PathBuf> {
        let mut found = self.folders.iter().filter(|folder| folder.exists()).cloned().collect::<Vec<_>>();
        let mut next = 0;
        while let Some(folder) = found.get(next).cloned() {
            next += 1;
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            let below = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            found.extend(below.map(|entry| entry.path()));
        }
        found
    }

    /// Ends every member at once, and removes the cgroup. What the members held (mounts, network, probes) goes with them.
    pub(super) async fn destroy(&self) -> Result<()> {
        until("every process of the cluster is gone", PATIENCE, async || {
            let members = self.members();
            for member in &members {
                if let Some(pid) = rustix::process::Pid::from_raw(*member) {
                    rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok(); // gone already is as good
                }
            }
            if members.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("still there: {members:?}")) }
        })
        .await?;
        until("the cluster's cgroups are gone", PATIENCE, async || {
            for folder in self.tree().iter().rev() {
                match fs::remove_dir(folder) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(error).with_context(|| format!("cannot remove {}", folder.display()));
                    }
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }
}
