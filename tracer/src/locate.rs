//! From what a user names to the processes to watch.

use std::{collections::BTreeSet, fs};

use leakhound_ebpf::abi::MAX_PROCESSES;
use thiserror::Error;

use crate::process::{ProcessError, ProcessId, with_descendants};

/// A running target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One process.
    Process(ProcessId),
    /// A process that we started, with its descendants.
    Tree(ProcessId),
    /// All processes of a container, by its whole id.
    Container(String),
}

/// A container could not be found.
#[derive(Debug, Error)]
pub enum LocateError {
    /// Too little of an id to be one.
    #[error(
        "{0:?} is no container id: give at least 12 characters of the hexadecimal id (docker ps, crictl ps)"
    )]
    NotAnId(String),
    /// No process is in such a container.
    #[error("no process belongs to a container {0}: is it running on this machine? (docker ps, crictl ps)")]
    NoContainer(String),
    /// More than one container begins like this.
    #[error("{prefix} may be any of {}: give more of the id", .candidates.join(", "))]
    Ambiguous {
        /// As given.
        prefix: String,
        /// Whole ids.
        candidates: Vec<String>,
    },
    /// The target has no process left.
    #[error("the target has no process left")]
    Gone,
    /// A single process cannot be followed.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl Target {
    /// The container whose id begins like this.
    pub fn container(prefix: &str) -> Result<Self, LocateError> {
        const SHORTEST: usize = 12;
        let bare = prefix.rsplit_once("://").map_or(prefix, |(_, id)| id); // as Kubernetes writes it
        if bare.len() < SHORTEST || !bare.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(LocateError::NotAnId(prefix.to_owned()));
        }
        let ids: BTreeSet<String> = containers().into_iter().map(|(_, id)| id).collect();
        let mut candidates: Vec<String> = ids.into_iter().filter(|id| id.starts_with(bare)).collect();
        match candidates.len() {
            0 => Err(LocateError::NoContainer(bare.to_owned())),
            1 => Ok(Self::Container(candidates.remove(0))),
            _ => Err(LocateError::Ambiguous { prefix: bare.to_owned(), candidates }),
        }
    }

    /// Its processes now, at most [`MAX_PROCESSES`], and how many more there are.
    pub fn processes(&self) -> Result<(Vec<ProcessId>, usize), LocateError> {
        let mut all = match self {
            Self::Process(id) => {
                id.verify()?;
                vec![*id]
            }
            Self::Tree(root) => with_descendants(*root),
            Self::Container(id) => {
                let inside = containers().into_iter().filter(|(_, other)| other == id);
                inside.filter_map(|(pid, _)| ProcessId::find(pid).ok()).collect()
            }
        };
        all.retain(|process| process.is_alive());
        if all.is_empty() {
            return Err(LocateError::Gone);
        }
        let more = all.len().saturating_sub(MAX_PROCESSES);
        all.truncate(MAX_PROCESSES);
        Ok((all, more))
    }
}

/// Every process that is in a container, with the container's id.
fn containers() -> Vec<(u32, String)> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| {
            Some((pid, container_id(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)?))
        })
        .collect()
}

/// The container that a `/proc/PID/cgroup` names, on every layout: 64 hexadecimal characters somewhere in a path.
///
/// Runtimes write them as `docker/ID`, `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`,
/// `kubepods/.../ID` or `...:cri-containerd:ID`. A container that runs an init system has groups below its own, so the
/// first one on the way from the root counts.
pub fn container_id(cgroup: &str) -> Option<String> {
    const LENGTH: usize = 64;
    cgroup.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        path.split('/').filter(|part| !part.contains("conmon")).find_map(|part| {
            let id = part.split(|c: char| !c.is_ascii_hexdigit()).find(|piece| piece.len() == LENGTH)?;
            Some(id.to_ascii_lowercase())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4e1c2b9a773f4e1c2b9a773f4e1c2b9a773f4e1c2b9a773f4e1c2b9a77abcd";

    #[test]
    fn every_runtimes_layout_names_its_container() {
        let layouts = [
            "0::/system.slice/docker-ID.scope",
            "12:memory:/docker/ID",
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice/cri-containerd-ID.scope",
            "4:memory:/kubepods/besteffort/pod0a1b2c3d-0000-4000-8000-aabbccddeeff/ID",
            "0::/kubepods.slice/kubepods-pod1.slice/crio-ID.scope",
            "0::/machine.slice/libpod-ID.scope/container",
            "0::/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:ID",
            "0::/../../kubepods/besteffort/pod1/ID",
            "0::/docker/ID/init.scope",
            "9:cpu:/\n8:memory:/docker/ID\n0::/docker/ID",
        ];
        for layout in layouts {
            assert_eq!(container_id(&layout.replace("ID", ID)).as_deref(), Some(ID), "{layout}");
        }
    }

    #[test]
    fn what_is_in_no_container_has_no_id() {
        for cgroup in
            ["0::/", "0::/user.slice/user-1000.slice/session-2.scope", "", "garbage", "0::/abcdef0123456789"]
        {
            assert_eq!(container_id(cgroup), None, "{cgroup}");
        }
        assert_eq!(container_id(&format!("0::/kubepods.slice/crio-conmon-{ID}.scope")), None);
    }

    #[test]
    fn nonsense_is_no_container() {
        for wrong in ["", "abc", "zzzzzzzzzzzzzz", "../../../../etc"] {
            assert!(matches!(Target::container(wrong), Err(LocateError::NotAnId(_))), "{wrong}");
        }
        assert!(matches!(Target::container("0123456789abcdef"), Err(LocateError::NoContainer(_))));
    }
}
