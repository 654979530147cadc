//! The search through a cgroup tree.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Container, ContainerError, Wanted, layout};

/// Deepest container: a cluster in a container that runs in a virtual machine's container makes nine.
const DEPTH: usize = 16;
/// Most groups looked at; a node of 250 pods with an init system in each has some ten thousand.
const MOST_GROUPS: usize = 100_000;

/// The hierarchies below a mount, the one that accounts memory first: version 2 alone is the mount itself, version 1 has a
/// folder for each controller, and a hybrid has version 2 in `unified` beside them.
pub(super) fn hierarchies(root: &Path) -> Vec<PathBuf> {
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    let folders = ["memory", "pids", "systemd", "unified"].map(|name| root.join(name));
    folders.into_iter().filter(|folder| folder.join("cgroup.procs").exists()).collect()
}

/// Whose pod a group lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    Nobody,
    WantedPod(PathBuf),
    OtherPod,
}

/// The first group that carries the container's id, breadth first. Groups below the container of a pod are its own to
/// make and to name, so they are not looked into.
pub(super) fn search(hierarchy: &Path, wanted: &Wanted) -> Result<Container, ContainerError> {
    let mut level = vec![(hierarchy.to_owned(), Owner::Nobody)];
    let mut seen = 0;
    let mut refusal = ContainerError::NotHere { id: wanted.short() };
    for _ in 0..DEPTH {
        let mut below = Vec::new();
        for (folder, owner) in &level {
            // a group that vanishes while it is read holds nothing
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                let (path, name) = (entry.path(), entry.file_name());
                let name = name.to_string_lossy();
                let named = match (wanted.names_pod(&name), layout::is_some_pod(&name)) {
                    (true, _) => Owner::WantedPod(path.clone()),
                    (false, true) => Owner::OtherPod,
                    (false, false) => owner.clone(),
                };
                if layout::is_container(&name, &wanted.id) {
                    if let Owner::WantedPod(pod) = named {
                        let pod_folder = (pod != path).then_some(pod);
                        return Ok(Container { folder: path, pod_folder });
                    }
                    let (id, pod_uid) = (wanted.short(), wanted.pod_uid.clone());
                    refusal = ContainerError::OtherPod { id, pod_uid, folder: path };
                } else if named == Owner::Nobody || !layout::is_some_container(&name) {
                    below.push((path, named));
                }
            }
        }
        seen += below.len();
        if seen > MOST_GROUPS {
            return Err(ContainerError::TooLarge(MOST_GROUPS, wanted.short()));
        }
        level = below;
    }
    Err(refusal)
}

impl Wanted {
    fn names_pod(&self, name: &str) -> bool {
        layout::is_pod(name, &self.pod_uid)
            || self.static_pod_hash.as_deref().is_some_and(|hash| layout::is_pod(name, hash))
    }
}
