//! Which process is in which container, from the names of its cgroups: no runtime is asked, so every runtime works.

use std::{collections::BTreeSet, fs};

use super::LocateError;

/// Length of an id: 256 bits in hexadecimal.
const LENGTH: usize = 64;

/// The container whose id begins like this, given all ids known. As Kubernetes writes it (`containerd://ID`) will do.
pub(super) fn by_prefix(prefix: &str, known: BTreeSet<String>) -> Result<String, LocateError> {
    const SHORTEST: usize = 12;
    let bare = prefix.rsplit_once("://").map_or(prefix, |(_, id)| id).to_ascii_lowercase();
    if !(SHORTEST..=LENGTH).contains(&bare.len()) || !bare.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(LocateError::NotAnId(prefix.to_owned()));
    }
    let mut candidates: Vec<String> = known.into_iter().filter(|id| id.starts_with(&bare)).collect();
    match candidates.len() {
        0 => Err(LocateError::NoContainer(bare)),
        1 => Ok(candidates.remove(0)),
        _ => Err(LocateError::Ambiguous { prefix: bare, candidates }),
    }
}

/// Every process that is in a container, with the ids of its containers.
pub(super) fn memberships() -> Vec<(u32, Vec<String>)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, ids(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?))))
        .filter(|(_, ids)| !ids.is_empty())
        .collect()
}

/// The containers that a `/proc/PID/cgroup` names, outermost first: a node of a cluster may be a container itself, and a
/// container may run an init system with groups below its own.
///
/// Runtimes write ids as `docker/ID`, `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`,
/// `kubepods/.../ID` or `...:cri-containerd:ID`, under any prefix. So what counts is only that they are 64 hexadecimal
/// characters. The monitor that a runtime keeps beside a container (`crio-conmon-ID.scope`) is not in it.
fn ids(cgroup: &str) -> Vec<String> {
    let paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let parts = paths.flat_map(|path| path.split('/')).filter(|part| !part.contains("conmon"));
    let pieces = parts.flat_map(|part| part.split(|c: char| !c.is_ascii_hexdigit()));
    let mut ids = Vec::new();
    for piece in pieces.filter(|piece| piece.len() == LENGTH) {
        let id = piece.to_ascii_lowercase();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4e1c2b9a773f4e1c2b9a773f4e1c2b9a773f4e1c2b9a773f4e1c2b9a77abcd";
    const NODE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn every_runtimes_layout_names_its_container() {
        let layouts = [
            // docker: systemd and cgroupfs drivers, v2 and v1
            "0::/system.slice/docker-ID.scope",
            "0::/docker/ID",
            "12:memory:/docker/ID\n11:cpu,cpuacct:/docker/ID\n1:name=systemd:/docker/ID",
            "9:cpu:/\n8:memory:/docker/ID\n0::/docker/ID",
            // containerd under Kubernetes: systemd driver with each class of service, and cgroupfs driver
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0a1b2c3d_0000_4000_8000_aabbccddeeff.slice/cri-containerd-ID.scope",
            "0::/kubepods.slice/kubepods-pod0a1b2c3d_0000_4000_8000_aabbccddeeff.slice/cri-containerd-ID.scope",
            "11:memory:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/docker-ID.scope",
            "4:memory:/kubepods/besteffort/pod0a1b2c3d-0000-4000-8000-aabbccddeeff/ID",
            "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod1.slice/cri-containerd-ID.scope",
            "0::/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:ID",
            "0::/podruntime/runtime/kubepods/burstable/pod1/ID",
            // CRI-O, podman (also without root), crun's groups below
            "0::/kubepods.slice/kubepods-pod1.slice/crio-ID.scope",
            "0::/kubepods.slice/kubepods-pod1.slice/crio-ID.scope/container",
            "0::/machine.slice/libpod-ID.scope/container",
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
            // seen from a cgroup namespace of our own; an init system inside; ECS
            "0::/../../kubepods/besteffort/pod1/ID",
            "0::/../cri-containerd-ID.scope",
            "0::/docker/ID/init.scope",
            "0::/docker/ID/system.slice/nginx.service",
            "7:memory:/ecs/cluster/0123456789abcdef0123456789abcdef/ID",
        ];
        for layout in layouts {
            assert_eq!(ids(&layout.replace("ID", ID)), [ID], "{layout}");
        }
    }

    #[test]
    fn a_container_in_a_container_is_in_both() {
        let layouts = [
            "0::/docker/NODE/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod1.slice/cri-containerd-ID.scope",
            "8:memory:/docker/NODE/docker/ID\n0::/docker/NODE/docker/ID",
        ];
        for layout in layouts {
            assert_eq!(ids(&layout.replace("NODE", NODE).replace("ID", ID)), [NODE, ID], "{layout}");
        }
    }

    #[test]
    fn what_is_in_no_container_has_no_id() {
        for cgroup in
            ["0::/", "0::/user.slice/user-1000.slice/session-2.scope", "", "garbage", "0::/abcdef0123456789"]
        {
            assert!(ids(cgroup).is_empty(), "{cgroup}");
        }
        for monitor in ["0::/kubepods.slice/crio-conmon-ID.scope", "0::/machine.slice/libpod-conmon-ID.scope"]
        {
            assert!(ids(&monitor.replace("ID", ID)).is_empty(), "{monitor}");
        }
        assert!(ids(&format!("0::/docker/{ID}00")).is_empty(), "longer than an id");
    }

    #[test]
    fn a_prefix_names_one_container_or_none() {
        let known = || BTreeSet::from([ID.to_owned(), NODE.to_owned(), ID.replace("abcd", "0000")]);
        let found = |prefix: &str| by_prefix(prefix, known());
        assert_eq!(found("0123456789ab").unwrap(), NODE);
        assert_eq!(found("0123456789AB").unwrap(), NODE);
        assert_eq!(found(&format!("containerd://{ID}")).unwrap(), ID);
        assert!(matches!(found("ffffffffffff"), Err(LocateError::NoContainer(_))));
        let ambiguous = found("3f4e1c2b9a77").unwrap_err().to_string();
        assert!(ambiguous.contains(ID) && ambiguous.contains("give more"), "{ambiguous}");
        for wrong in ["", "abc", "0123456789a", "zzzzzzzzzzzzzz", "../../../../etc", &format!("{ID}0")] {
            assert!(matches!(found(wrong), Err(LocateError::NotAnId(_))), "{wrong}");
        }
    }

    /// A real group of this machine, named as docker names them.
    #[test]
    fn a_real_process_is_found_by_its_container() {
        let mounts = procfs::process::Process::myself().unwrap().mountinfo().unwrap();
        let mount =
            mounts.into_iter().find(|mount| mount.fs_type.starts_with("cgroup")).expect("a cgroup mount");
        let id = format!("{:064x}", u128::from(std::process::id()) << 64 | 0xfeed_beef);
        let folder = mount.mount_point.join(format!("docker-{id}.scope"));
        if let Err(error) = fs::create_dir(&folder) {
            assert!(std::env::var_os("CI").is_none(), "cannot make {}: {error}", folder.display());
            eprintln!("skipped: cannot make {}: {error}", folder.display());
            return;
        }
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let moved = fs::write(folder.join("cgroup.procs"), child.id().to_string());
        let found = super::super::Target::container(&id[..50]).and_then(|target| target.processes());
        child.kill().unwrap();
        child.wait().unwrap();
        fs::remove_dir(&folder).unwrap();
        moved.unwrap();
        let (processes, left_out) = found.unwrap();
        assert_eq!((processes.len(), processes[0].pid, left_out), (1, child.id(), 0));
    }
}
