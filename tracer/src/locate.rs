//! From what a user names to the processes to watch.

mod container;
mod group;

use std::{cmp::Reverse, collections::BTreeSet};

use leakhound_ebpf::abi::MAX_PROCESSES;
use thiserror::Error;

pub use group::{Choice, Group};

use crate::{
    accounting::{CgroupMemory, account, cgroup_memory, folder_memory},
    process::{ProcessError, ProcessId, descendants},
};

/// A running target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One process.
    Process(ProcessId),
    /// A process that we started, with its descendants.
    Tree(ProcessId),
    /// All processes of a container, by its whole id.
    Container(String),
    /// Processes of a cgroup.
    Group(Group),
    /// Nobody in particular: what the kernel does for everybody.
    Machine,
}

/// A target has no processes that could be watched.
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
    /// None of its processes can be followed; this is what the first one says.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl Target {
    /// The container whose id begins like this.
    pub fn container(prefix: &str) -> Result<Self, LocateError> {
        let known: BTreeSet<String> = container::memberships().into_iter().flat_map(|(_, ids)| ids).collect();
        container::by_prefix(prefix, known).map(Self::Container)
    }

    /// Its processes now, and how many more there are that are not followed: those that are refused, and when there are
    /// more than [`Target::most`] those that use the least memory.
    pub fn processes(&self) -> Result<(Vec<ProcessId>, usize), LocateError> {
        let pids: Vec<u32> = match self {
            Self::Process(id) => {
                id.verify()?;
                return Ok((vec![*id], 0));
            }
            Self::Tree(root) => {
                let below = descendants(*root).into_iter().map(|id| id.pid);
                root.is_alive().then_some(root.pid).into_iter().chain(below).collect()
            }
            Self::Container(id) => {
                let inside = container::memberships().into_iter().filter(|(_, ids)| ids.contains(id));
                inside.map(|(pid, _)| pid).collect()
            }
            Self::Machine => return Ok((Vec::new(), 0)),
            Self::Group(group) => group::pids(&group.folder).map_err(|_vanished| LocateError::Gone)?,
        };
        let found = pids.into_iter().map(ProcessId::find);
        match self {
            // of those started in the same tick the one with the lower number
            Self::Group(Group { choice: Choice::First, .. }) => {
                choose(found, 1, |id| Reverse((id.start_ticks, id.pid)))
            }
            _ => choose(found, self.most(), resident),
        }
    }

    /// The memory of the cgroup around it, `first` being one of its processes. A group is asked directly: its path in
    /// `/proc/PID/cgroup` leads nowhere from another cgroup namespace.
    pub fn memory(&self, first: Option<ProcessId>) -> Option<CgroupMemory> {
        match self {
            Self::Group(group) => folder_memory(&group.folder),
            Self::Process(_) | Self::Tree(_) | Self::Container(_) | Self::Machine => cgroup_memory(first?),
        }
    }

    /// At most so many of its processes are watched at a time.
    pub fn most(&self) -> usize {
        match self {
            Self::Group(Group { choice: Choice::First, .. }) => 1,
            Self::Group(group) => group.most.clamp(1, MAX_PROCESSES),
            Self::Process(_) | Self::Tree(_) | Self::Container(_) | Self::Machine => MAX_PROCESSES,
        }
    }
}

fn resident(id: ProcessId) -> u64 {
    account(id).map_or(0, |memory| memory.rss_bytes)
}

/// The `most` that come first by `weight`, the heaviest first when there are too many.
fn choose<W: Ord>(
    found: impl Iterator<Item = Result<ProcessId, ProcessError>>,
    most: usize,
    weight: impl Fn(ProcessId) -> W,
) -> Result<(Vec<ProcessId>, usize), LocateError> {
    let mut chosen = Vec::new();
    let mut refused = Vec::new();
    for one in found {
        match one {
            Ok(id) => chosen.push(id),
            Err(error) if error.has_ended() || matches!(error, ProcessError::Ourselves { .. }) => {}
            Err(error) => refused.push(error),
        }
    }
    let mut left_out = refused.len();
    if chosen.is_empty() {
        return Err(refused.into_iter().next().map_or(LocateError::Gone, LocateError::Process));
    }
    if chosen.len() > most {
        left_out += chosen.len() - most;
        chosen.sort_by_cached_key(|id| Reverse(weight(*id)));
        chosen.truncate(most);
    }
    Ok((chosen, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32) -> ProcessId {
        ProcessId { pid, start_ticks: 1 }
    }

    #[test]
    fn of_too_many_processes_the_largest_are_watched() {
        let most = u32::try_from(MAX_PROCESSES).unwrap();
        let found = (0..most + 36).map(|pid| Ok(process(pid)));
        let refused = [Err(ProcessError::ThirtyTwoBit { pid: 1000, name: "x".into() })];
        let ended =
            [Err(ProcessError::NoSuchProcess { pid: 1001 }), Err(ProcessError::Ourselves { pid: 1002 })];
        let (chosen, left_out) =
            choose(found.chain(refused).chain(ended), MAX_PROCESSES, |id| u64::from(id.pid)).unwrap();
        assert_eq!((chosen.len(), left_out), (MAX_PROCESSES, 37));
        assert!(chosen.iter().all(|id| id.pid >= 36));
    }

    #[test]
    fn when_nothing_can_be_followed_the_first_refusal_is_told() {
        let none = |errors: Vec<ProcessError>| {
            choose(errors.into_iter().map(Err), MAX_PROCESSES, |_| 0).unwrap_err()
        };
        let forbidden =
            none(vec![ProcessError::NoSuchProcess { pid: 1 }, ProcessError::Forbidden { pid: 2 }]);
        assert!(matches!(forbidden, LocateError::Process(ProcessError::Forbidden { pid: 2 })));
        assert!(matches!(none(vec![ProcessError::NoSuchProcess { pid: 1 }]), LocateError::Gone));
        assert!(matches!(none(Vec::new()), LocateError::Gone));
    }

    #[test]
    fn of_a_group_as_many_are_watched_as_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut sleepers: Vec<_> =
            (0..3).map(|_| std::process::Command::new("sleep").arg("60").spawn().unwrap()).collect();
        let lines: Vec<String> = sleepers.iter().map(|sleeper| sleeper.id().to_string()).collect();
        std::fs::write(folder.path().join("cgroup.procs"), lines.join("\n")).unwrap();
        let watched = |choice, most| {
            let target = Target::Group(Group { folder: folder.path().to_owned(), choice, most });
            target.processes().map(|(ids, left_out)| (ids.len(), ids[0].pid, left_out))
        };
        let (first, all) = (watched(Choice::First, 9), watched(Choice::All, 9));
        let two = watched(Choice::Largest, 2).map(|(count, _, left_out)| (count, left_out));
        for sleeper in &mut sleepers {
            sleeper.kill().unwrap();
            sleeper.wait().unwrap();
        }
        assert_eq!(first.unwrap(), (1, sleepers[0].id(), 2));
        assert_eq!((all.unwrap().0, two.unwrap()), (3, (2, 1)));
        assert!(matches!(watched(Choice::All, 9), Err(LocateError::Gone)));
    }

    #[test]
    fn a_tree_is_its_root_and_what_descends_from_it() {
        let mut shell = std::process::Command::new("sh").args(["-c", "sleep 60; true"]).spawn().unwrap();
        let root = ProcessId::find(shell.id()).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let tree = loop {
            let (tree, left_out) = Target::Tree(root).processes().unwrap();
            if let [first, second] = tree[..] {
                assert_eq!((first, left_out), (root, 0));
                break [first, second];
            }
            assert!(std::time::Instant::now() < deadline, "{tree:?}");
        };
        for id in tree.into_iter().rev() {
            let pid = nix::unistd::Pid::from_raw(id.pid.cast_signed());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        }
        shell.wait().unwrap();
        assert!(matches!(Target::Tree(root).processes(), Err(LocateError::Gone)));
        assert!(
            matches!(Target::Process(root).processes(), Err(LocateError::Process(error)) if error.has_ended())
        );
    }
}
