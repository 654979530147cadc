use std::process::{Child, Command};

use super::*;

#[test]
fn the_group_that_accounts_memory_is_found() {
    let found = |groups| memory_group(groups).map(|(version, group)| (version, group.to_str().unwrap()));
    assert_eq!(found("0::/a/b"), Some((Version::Two, "/a/b")));
    assert_eq!(found("5:cpu,cpuacct:/x\n4:memory:/y\n0::/z"), Some((Version::One, "/y")));
    assert_eq!(found("5:cpu:/x\n1:name=systemd:/s\n0::/z"), Some((Version::Two, "/z")));
    assert_eq!(found("0::/a..b/c"), Some((Version::Two, "/a..b/c")));
    for nowhere in ["4:memory:/\n0::/z", "0::/", "0::/../../x", "", "garbage"] {
        assert_eq!(found(nowhere), None, "{nowhere}");
    }
}

fn mount(line: &str) -> MountInfo {
    MountInfo::from_line(line).unwrap()
}

#[test]
fn a_group_is_found_under_the_mount_that_shows_it() {
    let cases = [
        ("31 24 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup rw", Version::Two, "/a/b", "/sys/fs/cgroup/a/b"),
        (
            "31 24 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup rw",
            Version::Two,
            "/a",
            "/sys/fs/cgroup/unified/a",
        ),
        (
            "33 25 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
            Version::One,
            "/y",
            "/sys/fs/cgroup/memory/y",
        ),
        // a container that sees its own part of the tree only
        (
            "33 25 0:30 /docker/c1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory",
            Version::One,
            "/docker/c1/init",
            "/sys/fs/cgroup/memory/init",
        ),
    ];
    for (line, version, group, expected) in cases {
        let (_, folder) = folder(&mount(line), version, Path::new(group)).unwrap();
        assert_eq!(folder, Path::new(expected), "{line}");
    }
    let elsewhere = mount("33 25 0:30 /docker/c1 /m ro - cgroup cgroup rw,memory");
    assert_eq!(folder(&elsewhere, Version::One, Path::new("/docker/c12")), None);
    assert_eq!(folder(&elsewhere, Version::Two, Path::new("/docker/c1")), None);
    let cpu = mount("33 25 0:30 / /m ro - cgroup cgroup rw,cpu");
    assert_eq!(folder(&cpu, Version::One, Path::new("/x")), None);
}

#[test]
fn the_lowest_limit_around_the_process_counts() {
    let mount = tempfile::tempdir().unwrap();
    let group = |path: &str, used: &str, limit: &str| {
        let folder = mount.path().join(path);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("memory.current"), used).unwrap();
        fs::write(folder.join("memory.max"), limit).unwrap();
        folder
    };
    let pod = group("pod", "900\n", "5000\n");
    let container = group("pod/container", "700\n", "1000\n");
    let inside = group("pod/container/init", "500\n", "max\n");
    let sum = |folder: &Path| tightest(Version::Two, mount.path(), folder);
    let bound = CgroupMemory { used: 700, limit: Some(1000) };
    assert_eq!(sum(&inside), Some(bound));
    assert_eq!(sum(&container), Some(bound));
    assert_eq!(sum(&pod), Some(CgroupMemory { used: 900, limit: Some(5000) }));
    let free = group("free", "3\n", "max\n");
    assert_eq!(sum(&free), Some(CgroupMemory { used: 3, limit: None }));
    assert_eq!(sum(&mount.path().join("gone")), None);
    for folder in [&pod, &container, &inside, &free] {
        assert_eq!(folder_memory(folder), sum(folder), "the same, asked by its folder");
    }
    assert_eq!(folder_memory(&mount.path().join("gone")), None);
}

#[test]
fn the_largest_number_of_version_one_is_no_limit() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("memory.usage_in_bytes"), "4096\n").unwrap();
    fs::write(folder.path().join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
    assert_eq!(read(Version::One, folder.path()), Some(CgroupMemory { used: 4096, limit: None }));
}

/// A group of this machine's own hierarchy, removed with its process.
struct Group {
    folder: PathBuf,
    process: Child,
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir(&self.folder);
    }
}

#[test]
fn a_real_group_with_a_limit_is_read() {
    let mounts: Vec<MountInfo> = Process::myself().unwrap().mountinfo().unwrap().into_iter().collect();
    let find = |version| mounts.iter().find_map(|mount| folder(mount, version, Path::new("/")));
    let (version, root, limit_file) = match find(Version::One) {
        Some((root, _)) => (Version::One, root, "memory.limit_in_bytes"),
        None => (Version::Two, find(Version::Two).expect("a cgroup mount").0, "memory.max"),
    };
    let folder = root.join(format!("leakhound-test-{}", std::process::id()));
    let made = fs::create_dir(&folder).and_then(|()| fs::write(folder.join(limit_file), "67108864"));
    if let Err(error) = made {
        let _ = fs::remove_dir(&folder);
        assert!(std::env::var_os("CI").is_none(), "cannot make a cgroup in {}: {error}", root.display());
        eprintln!("skipped: cannot make a cgroup in {}: {error}", root.display());
        return;
    }
    let process = Command::new("sleep").arg("60").spawn().unwrap();
    let group = Group { folder: folder.clone(), process };
    fs::write(folder.join("cgroup.procs"), group.process.id().to_string()).unwrap();
    let id = ProcessId::find(group.process.id()).unwrap();
    let memory = cgroup_memory(id).unwrap();
    assert_eq!(memory.limit, Some(64 << 20), "{version:?}");
    assert!(memory.used <= 64 << 20, "{memory:?}");
}
