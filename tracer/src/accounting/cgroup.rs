//! Memory of a process's cgroup: where it is mounted, and which of the groups around the process binds first.

use std::{
    fs,
    path::{Path, PathBuf},
};

use procfs::process::{MountInfo, Process};

use crate::process::ProcessId;

/// What a cgroup uses and may use, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupMemory {
    /// Charged now.
    pub used: u64,
    /// The limit, when there is one.
    pub limit: Option<u64>,
}

/// The memory of the group around a process that has the lowest limit (a container's limit is often on a group above the
/// process's own), or else of its own group. `None` for the root group, and when its files cannot be reached from here.
pub fn cgroup_memory(process: ProcessId) -> Option<CgroupMemory> {
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).ok()?;
    process.verify().ok()?;
    let (version, group) = memory_group(&groups)?;
    let mounts = Process::myself().and_then(|own| own.mountinfo()).ok()?;
    let (mount, folder) = mounts.into_iter().find_map(|mount| folder(&mount, version, group))?;
    tightest(version, &mount, &folder)
}

/// The same for a group's own folder, whatever hierarchy it is in. `None` when it is gone, or its hierarchy does not
/// account memory.
pub fn folder_memory(folder: &Path) -> Option<CgroupMemory> {
    let (version, own) = [Version::Two, Version::One]
        .into_iter()
        .find_map(|version| Some((version, read(version, folder)?)))?;
    let around = folder.ancestors().map_while(|above| read(version, above));
    Some(around.filter(|group| group.limit.is_some()).min_by_key(|group| group.limit).unwrap_or(own))
}

/// The version of a cgroup hierarchy. <https://docs.kernel.org/admin-guide/cgroup-v2.html> and `cgroup-v1/memory.html`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Which hierarchy accounts memory, and the group there: a controller is in one hierarchy only, so a v1 line naming
/// memory (also on hybrid systems) wins.
fn memory_group(groups: &str) -> Option<(Version, &Path)> {
    let lines = || {
        groups.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            Some((fields.next()?, fields.next()?, fields.next()?))
        })
    };
    let one = lines().find(|(_, controllers, _)| controllers.split(',').any(|name| name == "memory"));
    let two = lines().find(|(number, controllers, _)| *number == "0" && controllers.is_empty());
    let (version, group) = one
        .map(|(_, _, group)| (Version::One, group))
        .or_else(|| two.map(|(_, _, group)| (Version::Two, group)))?;
    // a path out of our own cgroup namespace leads nowhere from here
    (group != "/" && !group.split('/').any(|part| part == "..")).then_some((version, Path::new(group)))
}

/// Where a group's files are under a mount, if that mount shows it. A container may see only a part of the tree: the
/// mount's root is then not `/`.
fn folder(mount: &MountInfo, version: Version, group: &Path) -> Option<(PathBuf, PathBuf)> {
    let right = match version {
        Version::One => mount.fs_type == "cgroup" && mount.super_options.contains_key("memory"),
        Version::Two => mount.fs_type == "cgroup2",
    };
    let below = group.strip_prefix(&mount.root).ok()?;
    right.then(|| (mount.mount_point.clone(), mount.mount_point.join(below)))
}

/// The group with the lowest limit from a folder up to the mount, or else the folder's own.
fn tightest(version: Version, mount: &Path, folder: &Path) -> Option<CgroupMemory> {
    let own = read(version, folder)?;
    let around = folder.ancestors().take_while(|above| above.starts_with(mount));
    let limited = around.filter_map(|above| read(version, above)).filter(|group| group.limit.is_some());
    Some(limited.min_by_key(|group| group.limit).unwrap_or(own))
}

fn read(version: Version, folder: &Path) -> Option<CgroupMemory> {
    // v1 says "no limit" by the largest multiple of the page size that a signed 64-bit number holds, v2 by "max"
    const UNLIMITED: u64 = 1 << 62;
    let (used, limit) = match version {
        Version::One => ("memory.usage_in_bytes", "memory.limit_in_bytes"),
        Version::Two => ("memory.current", "memory.max"),
    };
    let number = |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    Some(CgroupMemory { used: number(used)?, limit: number(limit).filter(|limit| *limit < UNLIMITED) })
}

#[cfg(test)]
mod tests;
