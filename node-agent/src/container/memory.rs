//! What a container's cgroup says about its memory: use, limit, and how often the kernel killed for want of it.

use std::{fs, path::Path};

/// Memory of a container at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Memory {
    /// Charged now, bytes.
    pub(crate) used: u64,
    /// The limit in bytes, when there is one.
    pub(crate) limit: Option<u64>,
    /// Processes that the kernel has killed in it for want of memory.
    pub(crate) oom_kills: u64,
}

/// Reads the memory files of a group; `None` when it is gone, or in a hierarchy that does not account memory.
/// <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory>, `cgroup-v1/memory.html`.
pub(crate) fn read(folder: &Path) -> Option<Memory> {
    // version 1 says "no limit" by the largest multiple of the page size that fits, version 2 by "max"
    const UNLIMITED: u64 = 1 << 62;
    let text = |file: &str| fs::read_to_string(folder.join(file)).ok();
    let number = |file: &str| text(file)?.trim().parse::<u64>().ok();
    let (used, limit, events) = match number("memory.current") {
        Some(used) => (used, number("memory.max"), "memory.events"),
        None => (number("memory.usage_in_bytes")?, number("memory.limit_in_bytes"), "memory.oom_control"),
    };
    let kills = text(events).and_then(|text| field(&text, "oom_kill"));
    Some(Memory {
        used,
        limit: limit.filter(|limit| *limit < UNLIMITED),
        oom_kills: kills.unwrap_or(0), // not counted before Linux 4.13
    })
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once(' ').filter(|(key, _)| *key == name)?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn both_versions_say_the_same() {
        let one = group(&[
            ("memory.usage_in_bytes", "1048576\n"),
            ("memory.limit_in_bytes", "2097152\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        ]);
        let two = group(&[
            ("memory.current", "1048576\n"),
            ("memory.max", "2097152\n"),
            ("memory.events", "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 1\n"),
        ]);
        let wanted = Memory { used: 1 << 20, limit: Some(2 << 20), oom_kills: 3 };
        assert_eq!(read(one.path()), Some(wanted));
        assert_eq!(read(two.path()), Some(wanted));
    }

    #[test]
    fn no_limit_and_no_memory_controller_are_no_numbers() {
        let one = group(&[
            ("memory.usage_in_bytes", "4096\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n"),
        ]);
        let two = group(&[("memory.current", "4096\n"), ("memory.max", "max\n")]);
        let wanted = Memory { used: 4096, limit: None, oom_kills: 0 };
        assert_eq!((read(one.path()), read(two.path())), (Some(wanted), Some(wanted)));
        assert_eq!(read(group(&[("cgroup.procs", "1\n")]).path()), None);
        assert_eq!(read(Path::new("/nonexistent")), None);
    }
}
