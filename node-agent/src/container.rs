//! From a pod's uid and a container's id to the cgroup on this node that holds its processes, proven by the names of the
//! groups alone: no runtime is asked, so every runtime works and none needs to trust us with its socket.

mod layout;
mod memory;
mod runtime;
mod tree;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub(crate) use memory::{Memory, read as memory};
pub(crate) use runtime::{Sandbox, sandbox};

/// Which container of which pod, as the probe names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Uid of the pod, with dashes.
    pub(crate) pod_uid: String,
    /// What the kubelet calls a static pod in its cgroups, instead of the uid.
    pub(crate) static_pod_hash: Option<String>,
    /// 64 hexadecimal digits.
    pub(crate) id: String,
}

/// A container that was found and proven to belong to its pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    /// Its group, in the hierarchy that it was found in.
    pub(crate) folder: PathBuf,
    /// The group of its pod there; `None` where runtimes put both into one name.
    pub(crate) pod_folder: Option<PathBuf>,
}

/// Why a container was not found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ContainerError {
    /// The id is not one.
    #[error("{0:?} is no container id: expected runtime://, then 64 hexadecimal digits")]
    NotAnId(String),
    /// Nothing is mounted where the hierarchy should be.
    #[error(
        "there is no cgroup hierarchy at {0}: mount the node's /sys/fs/cgroup there, or set --cgroup-root"
    )]
    NoHierarchy(PathBuf),
    /// No group carries the id.
    #[error(
        "no cgroup of this node holds container {id}: it has ended, or was started again under another id"
    )]
    NotHere {
        /// The id, cut to what people read.
        id: String,
    },
    /// A group carries the id, but it is another pod's.
    #[error("container {id} is not in pod {pod_uid}: its cgroup is {folder}")]
    OtherPod {
        /// The id, cut to what people read.
        id: String,
        /// The pod that was named.
        pod_uid: String,
        /// Where the container is.
        folder: PathBuf,
    },
    /// The tree has more groups than any node.
    #[error("the cgroup hierarchy has more than {0} groups, and container {1} was not among the first")]
    TooLarge(usize, String),
}

impl Wanted {
    /// From a container id as Kubernetes writes it (`containerd://ID`).
    pub(crate) fn new(
        pod_uid: &str,
        static_pod_hash: Option<&str>,
        container_id: &str,
    ) -> Result<Self, ContainerError> {
        let id = container_id.rsplit_once("://").map_or(container_id, |(_, id)| id).to_ascii_lowercase();
        if !layout::is_id(&id) {
            return Err(ContainerError::NotAnId(container_id.to_owned()));
        }
        Ok(Self { pod_uid: pod_uid.to_owned(), static_pod_hash: static_pod_hash.map(str::to_owned), id })
    }

    /// As people read it.
    fn short(&self) -> String {
        self.id.chars().take(12).collect()
    }
}

/// Finds a container below a mounted cgroup tree, which may be version 1, version 2 or both.
pub(crate) fn find(root: &Path, wanted: &Wanted) -> Result<Container, ContainerError> {
    let hierarchies = tree::hierarchies(root);
    if hierarchies.is_empty() {
        return Err(ContainerError::NoHierarchy(root.to_owned()));
    }
    let mut refusal = ContainerError::NotHere { id: wanted.short() };
    for hierarchy in hierarchies {
        match tree::search(&hierarchy, wanted) {
            Ok(container) => return Ok(container),
            Err(ContainerError::NotHere { .. }) => {}
            Err(other) => refusal = other,
        }
    }
    Err(refusal)
}

#[cfg(test)]
mod tests;
