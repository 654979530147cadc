//! The cluster without Docker leaves nothing behind, whenever it is interrupted. What runs on it is in `cluster/`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this file is nothing but tests")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::ensure;
use leakhound_e2e::cluster::{Cluster, Layout};
use leakhound_e2e::tools::{Tools, target_dir};
use leakhound_e2e::wait::until;

/// What a cluster of this folder has on the machine: processes, cgroups, network devices, mounts.
fn traces(layout: &Layout) -> BTreeSet<String> {
    let (dir, name) = (layout.dir().to_str().unwrap(), layout.name());
    let mut found = BTreeSet::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        // Ended meanwhile: no trace.
        let read = |file: &str| fs::read(process.path().join(file)).unwrap_or_default();
        let (line, cgroups) = (read("cmdline"), read("cgroup"));
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let ours = process.file_name().to_str() == Some(&std::process::id().to_string());
        if !ours && (line.contains(dir) || String::from_utf8_lossy(&cgroups).contains(&name)) {
            found.insert(format!("process {} {line}", process.file_name().display()));
        }
    }
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let cgroup = hierarchy.path().join(&name);
        if cgroup.exists() {
            found.insert(cgroup.display().to_string());
        }
    }
    let device = Path::new("/sys/class/net").join(layout.host_device());
    if device.exists() {
        found.insert(device.display().to_string());
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    found.extend(mounts.lines().filter(|mount| mount.contains(dir)).map(ToOwned::to_owned));
    if layout.dir().exists() {
        found.insert(dir.to_owned());
    }
    found
}

#[tokio::test]
async fn nothing_is_left_of_a_cluster_that_was_interrupted() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "this test needs root");
        eprintln!("SKIPPED: a cluster needs root");
        return;
    }
    Tools::build(&Tools::ALL).unwrap();
    let dir = target_dir().join("e2e/interrupted-cluster");
    Cluster::down(&dir).await.unwrap();
    let mut up = Command::new(env!("CARGO_BIN_EXE_leakhound-e2e"))
        .arg("--dir")
        .arg(&dir)
        .arg("up")
        .env("LEAKHOUND_E2E_PROVIDER", "local")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let layout = Layout::of(&dir).unwrap();
    until("the API server has been started", Duration::from_secs(240), async || {
        ensure!(traces(&layout).iter().any(|trace| trace.contains("kube-apiserver")), "not yet");
        Ok(())
    })
    .await
    .unwrap();
    up.kill().unwrap();
    up.wait().unwrap();

    assert!(traces(&layout).iter().any(|trace| trace.contains("kube-apiserver")), "{:#?}", traces(&layout));
    Cluster::down(&dir).await.unwrap();
    Cluster::down(&dir).await.unwrap();
    until("nothing is left", Duration::from_secs(60), async || {
        let left = traces(&layout);
        ensure!(left.is_empty(), "{left:#?}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_folder_with_something_else_in_it_is_left_alone() {
    let dir = tempfile::tempdir_in(target_dir()).unwrap();
    fs::write(dir.path().join("letter.txt"), "dear all").unwrap();
    let refused = Cluster::down(dir.path()).await.unwrap_err().to_string();
    assert!(refused.contains("nothing in it is touched"), "{refused}");
    assert!(dir.path().join("letter.txt").exists());
}
