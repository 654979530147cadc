//! What the kernel says a process and its cgroup use.

use std::{fs, path::Path};

use leakhound_report::recording;
use procfs::{WithCurrentSystemInfo, process::Process};

use crate::process::ProcessId;

/// One process as the kernel accounts it; `None` when it has ended.
pub fn account(process: ProcessId) -> Option<recording::Process> {
    let proc = Process::new(process.pid.cast_signed()).ok()?;
    let stat = proc.stat().ok()?;
    let rollup = proc.smaps_rollup().ok().and_then(|rollup| rollup.memory_map_rollup.0.into_iter().next());
    let field = |name: &str| rollup.as_ref().and_then(|map| map.extension.map.get(name).copied());
    let rss = stat.rss_bytes().get();
    let ticks = stat.utime.saturating_add(stat.stime);
    let nanoseconds_per_tick = 1_000_000_000 / procfs::ticks_per_second().max(1);
    Some(recording::Process {
        pid: process.pid,
        rss_bytes: field("Rss").unwrap_or(rss),
        // statm's "shared" counts file pages, so the rest is anonymous
        anonymous_bytes: field("Anonymous").or_else(|| {
            let statm = proc.statm().ok()?;
            Some(statm.resident.saturating_sub(statm.shared) * procfs::page_size())
        })?,
        swap_bytes: field("Swap").unwrap_or(0),
        cpu_ns: ticks.saturating_mul(nanoseconds_per_tick),
        threads: u32::try_from(stat.num_threads).unwrap_or(0),
    })
}

/// What a cgroup uses and may use, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupMemory {
    /// Charged now.
    pub used: u64,
    /// The limit, when there is one.
    pub limit: Option<u64>,
}

/// The memory of a process's own cgroup; `None` for the root group, and when it cannot be read.
pub fn cgroup_memory(process: ProcessId) -> Option<CgroupMemory> {
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).ok()?;
    let (version, group) = memory_group(&groups)?;
    let number =
        |folder: &Path, file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    let relative = group.trim_start_matches('/');
    match version {
        2 => {
            let folder = Path::new("/sys/fs/cgroup").join(relative);
            Some(CgroupMemory {
                used: number(&folder, "memory.current")?,
                limit: number(&folder, "memory.max"),
            })
        }
        _ => {
            // "no limit" is the largest multiple of the page size that fits a signed 64-bit number
            const UNLIMITED: u64 = 1 << 62;
            let folder = Path::new("/sys/fs/cgroup/memory").join(relative);
            let limit = number(&folder, "memory.limit_in_bytes").filter(|limit| *limit < UNLIMITED);
            Some(CgroupMemory { used: number(&folder, "memory.usage_in_bytes")?, limit })
        }
    }
}

/// Which hierarchy accounts memory, and the group there; v1 first, since on hybrid systems v2 has no memory controller.
fn memory_group(groups: &str) -> Option<(u8, &str)> {
    let lines = || {
        groups.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            Some((fields.next()?, fields.next()?, fields.next()?))
        })
    };
    let v1 = lines().find(|(_, controllers, _)| controllers.split(',').any(|name| name == "memory"));
    let v2 = lines().find(|(number, controllers, _)| *number == "0" && controllers.is_empty());
    let (version, group) =
        v1.map(|(_, _, group)| (1, group)).or_else(|| v2.map(|(_, _, group)| (2, group)))?;
    // a path out of our own cgroup namespace cannot be found from here
    (group != "/" && !group.contains("..")).then_some((version, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_that_accounts_memory_is_found() {
        assert_eq!(memory_group("0::/a/b"), Some((2, "/a/b")));
        assert_eq!(memory_group("5:cpu,cpuacct:/x\n4:memory:/y\n0::/z"), Some((1, "/y")));
        assert_eq!(memory_group("4:memory:/\n0::/z"), None);
        assert_eq!(memory_group("0::/"), None);
        assert_eq!(memory_group("0::/../../x"), None);
        assert_eq!(memory_group(""), None);
    }

    #[test]
    fn memory_that_is_touched_is_accounted() {
        let own = ProcessId { pid: std::process::id(), start_ticks: 0 };
        let before = account(own).unwrap();
        let touched = vec![1u8; 64 << 20];
        let after = account(own).unwrap();
        assert!(after.anonymous_bytes >= before.anonymous_bytes + (60 << 20), "{before:?} {after:?}");
        assert!(after.rss_bytes >= after.anonymous_bytes && after.threads > 0);
        drop(touched);
    }
}
