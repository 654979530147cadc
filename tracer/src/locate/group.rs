//! The processes of a cgroup, from the group's own files: what a container is, whatever its runtime calls it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Deepest group below a container's that is looked into; an init system inside makes three.
const DEPTH: usize = 8;
/// Most groups of one container that are looked into: a container can make as many as it likes.
const MOST_GROUPS: usize = 4096;

/// A cgroup with all groups below it, read again at every look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its directory, below a mounted cgroup hierarchy (version 1 or 2).
    pub folder: PathBuf,
    /// Which of its processes to watch.
    pub choice: Choice,
    /// At most so many.
    pub most: usize,
}

/// Which processes of a group are watched when there are more than wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// Those with the most resident memory.
    #[default]
    Largest,
    /// All, up to the limit; those with the most resident memory first.
    All,
    /// Only the one that was started first: of a container its init process.
    First,
}

/// Numbers of all processes in a group and the groups below, in our own pid namespace. One that is invisible from here
/// (the kernel says 0) is left out; a group that vanishes meanwhile has none.
pub(super) fn pids(folder: &Path) -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    let mut level = vec![folder.to_owned()];
    let mut looked_into = 0;
    read(folder, &mut pids)?;
    for _ in 0..DEPTH {
        let mut below = Vec::new();
        for group in &level {
            let entries = fs::read_dir(group).into_iter().flatten().flatten();
            let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            below.extend(folders.map(|entry| entry.path()));
        }
        below.truncate(MOST_GROUPS - looked_into);
        looked_into += below.len();
        // a threaded group of version 2 has no list of its own: its processes are listed above it
        below.iter().for_each(|group| drop(read(group, &mut pids)));
        level = below;
    }
    pids.sort_unstable();
    pids.dedup();
    Ok(pids)
}

fn read(folder: &Path, pids: &mut Vec<u32>) -> io::Result<()> {
    let text = fs::read_to_string(folder.join("cgroup.procs"))?;
    let numbers = text.lines().filter_map(|line| line.trim().parse::<u32>().ok());
    pids.extend(numbers.filter(|pid| *pid != 0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(at: &Path, procs: &str) -> PathBuf {
        fs::create_dir_all(at).unwrap();
        fs::write(at.join("cgroup.procs"), procs).unwrap();
        at.to_owned()
    }

    #[test]
    fn processes_of_all_groups_below_are_its_own() {
        let root = tempfile::tempdir().unwrap();
        let container = group(&root.path().join("container"), "");
        group(&container.join("init.scope"), "12\n");
        group(&container.join("system.slice/nginx.service"), "30\n31\n0\n");
        group(&container.join("system.slice/deep/er"), "12\n7\n");
        assert_eq!(pids(&container).unwrap(), [7, 12, 30, 31]);
        assert!(pids(&root.path().join("gone")).is_err());
    }

    #[test]
    fn a_container_that_makes_groups_without_end_is_read_to_a_limit() {
        let root = tempfile::tempdir().unwrap();
        let container = group(root.path(), "1\n");
        let mut deepest = container.clone();
        for number in 2..40 {
            deepest = group(&deepest.join("x"), &format!("{number}\n"));
        }
        assert_eq!(pids(&container).unwrap().len(), 1 + DEPTH);
    }
}
