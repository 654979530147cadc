//! Containers as far as the kernel knows of them: another root, a control group, and a restart.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{atomic::AtomicBool, mpsc::channel},
    time::{Duration, Instant},
};

use leakhound_tracer::{investigation::Subject, locate::Target, process::ProcessId};

use crate::support::{Running, can_probe, compile, end, short, wait_for, watch, watch_with};

/// A container's libc lies in another root and mount namespace, under a path that here names another file or none.
#[test]
fn another_root_needs_no_flag() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_in_root", &["-g", "-O2"]);
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path.trim_start_matches('/'));
    for folder in ["/opt/elsewhere", "/lib64", "/old"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    fs::copy("/lib/x86_64-linux-gnu/libc.so.6", at("/opt/elsewhere/libc.so.6.real")).unwrap();
    // an absolute link: followed in our own root it leads nowhere
    std::os::unix::fs::symlink("/opt/elsewhere/libc.so.6.real", at("/opt/elsewhere/libc.so.6")).unwrap();
    fs::copy("/lib64/ld-linux-x86-64.so.2", at("/lib64/ld-linux-x86-64.so.2")).unwrap();
    fs::copy(&program, at("/opt/elsewhere/leak")).unwrap();
    let program = "/lib64/ld-linux-x86-64.so.2 --library-path /opt/elsewhere /opt/elsewhere/leak 0 600";
    let pivoted = format!(
        "mount --bind {0} {0} && cd {0} && pivot_root . old && exec {program}",
        root.path().display()
    );
    let chrooted = format!("exec chroot {} {program}", root.path().display());
    for way in [pivoted, chrooted] {
        let mut inside = Command::new("unshare");
        inside.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c"]).arg(&way);
        assert_libc_is_found(&Running(inside.spawn().unwrap()), &way);
    }
}

fn assert_libc_is_found(parent: &Running, way: &str) {
    let mut found = None;
    wait_for("the program inside its root", || {
        found = child_running(parent.0.id(), "ld-linux-x86-64.so.2");
        found.is_some()
    });
    let target = Target::Process(ProcessId::find(found.unwrap()).unwrap());
    let recording = watch(Subject::Running(target), &short(Duration::from_secs(1))).unwrap();
    let libc = recording.header.allocators.iter().find(|one| one.family == "glibc").expect("its libc");
    assert_eq!(libc.module, "/opt/elsewhere/libc.so.6.real", "{way}");
}

fn child_running(parent: u32, name: &str) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid: &u32| {
        fs::read_link(format!("/proc/{pid}/exe"))
            .is_ok_and(|path| path.file_name() == Path::new(name).file_name())
            && fs::read_to_string(format!("/proc/{pid}/maps"))
                .is_ok_and(|maps| maps.contains("libc.so.6.real"))
    })
}

/// A container as far as the kernel knows: a control group whose name is an id of 64 digits.
struct Container(PathBuf);

impl Container {
    fn make(id: &str) -> Self {
        let v1 = Path::new("/sys/fs/cgroup/pids");
        let root = if v1.is_dir() { v1 } else { Path::new("/sys/fs/cgroup") };
        let folder = root.join(id);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    /// Starts a program inside, from its first instruction.
    fn run(&self, program: &Path, arguments: &str) -> Running {
        let line =
            format!("echo $$ >{}/cgroup.procs && exec {} {arguments}", self.0.display(), program.display());
        Running(Command::new("sh").args(["-c", &line]).spawn().unwrap())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        wait_for("the group to be empty", || fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn a_container_that_restarts_is_followed() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_in_container", &["-g", "-O2"]);
    let id = format!("{:064x}", std::process::id());
    let container = Container::make(&id);
    let first = container.run(&program, "50 600");
    wait_for("the program to be itself", || {
        fs::read_link(format!("/proc/{}/exe", first.0.id()))
            .is_ok_and(|path| path.ends_with("leak_in_container"))
    });
    let target = Target::container(&id).unwrap();
    let (on, wait_until_on) = channel();
    let (recording, second) = std::thread::scope(|scope| {
        let watching = scope.spawn(move || {
            let never = AtomicBool::new(false);
            let tell = &mut || {
                let _ = on.send(());
            };
            watch_with(Subject::Running(target), &short(Duration::from_secs(12)), &never, tell).unwrap()
        });
        wait_until_on.recv().expect("probes go on");
        drop(first);
        // empty for a moment, as while a runtime sets up the next
        let empty = Instant::now();
        wait_for("a second to pass", || empty.elapsed() > Duration::from_secs(1));
        let second = container.run(&program, "70 600");
        (watching.join().unwrap(), second)
    });
    assert_eq!(end(&recording).reason, "duration", "{:?}", recording.events);
    let last = &recording.snapshots.last().unwrap().processes;
    assert_eq!(
        last.iter().map(|process| process.pid).collect::<Vec<_>>(),
        [second.0.id()],
        "{:?}",
        recording.events
    );
    drop(second);
}

/// The time in which a restart is waited for is none in which memory could have grown.
#[test]
fn the_last_snapshot_of_a_killed_container_is_of_its_end() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_until_killed", &["-g", "-O2"]);
    let id = format!("{:064x}", u64::from(std::process::id()) << 32);
    let container = Container::make(&id);
    let mut only = Some(container.run(&program, "100000 600"));
    wait_for("the program to be itself", || {
        only.iter().any(|child| {
            fs::read_link(format!("/proc/{}/exe", child.0.id()))
                .is_ok_and(|path| path.ends_with("leak_until_killed"))
        })
    });
    let target = Target::container(&id).unwrap();
    let mut looks = 0;
    let mut kill_later = || {
        looks += 1;
        if looks > 10 {
            drop(only.take());
        }
    };
    let never = AtomicBool::new(false);
    let settings = short(Duration::from_secs(300));
    let recording = watch_with(Subject::Running(target), &settings, &never, &mut kill_later).unwrap();
    assert_eq!(end(&recording).reason, "targetExited", "{:?}", recording.events);
    let last = recording.snapshots.last().unwrap();
    let dead_seconds = (end(&recording).time_ns - last.time_ns) / 1_000_000_000;
    assert!(dead_seconds >= 8, "{dead_seconds} s were waited after the last snapshot");
    assert!(recording.snapshots.iter().rev().skip(1).all(|snapshot| !snapshot.processes.is_empty()));
}
