use std::fs;

use super::*;

const UID: &str = "0a1b2c3d-0000-4000-8000-aabbccddeeff";
const UNDERLINED: &str = "0a1b2c3d_0000_4000_8000_aabbccddeeff";
const HASH: &str = "d41d8cd98f00b204e9800998ecf8427e";
const ID: &str = "3f4e1c2b9a773f4e1c2b9a773f4e1c2b9a773f4e1c2b9a773f4e1c2b9a77abcd";
const OTHER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A tree of groups as a runtime makes it. The last component is where the processes are.
fn tree(version: Version, groups: &[String]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let hierarchies: &[&str] = match version {
        Version::One => &["memory", "pids", "systemd"],
        Version::Two => &[""],
        Version::Hybrid => &["memory", "systemd", "unified"],
    };
    for hierarchy in hierarchies {
        let hierarchy = root.path().join(hierarchy);
        fs::create_dir_all(&hierarchy).unwrap();
        for group in groups {
            fs::create_dir_all(hierarchy.join(group)).unwrap();
        }
        fs::write(hierarchy.join("cgroup.procs"), "1\n").unwrap();
    }
    if version == Version::Two {
        fs::write(root.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
    }
    root
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
    Hybrid,
}

fn wanted() -> Wanted {
    Wanted::new(UID, None, &format!("containerd://{ID}")).unwrap()
}

fn spell(layout: &str) -> String {
    layout.replace("UID_", UNDERLINED).replace("UID", UID).replace("NODE", OTHER).replace("ID", ID)
}

#[test]
fn every_layout_leads_to_the_container() {
    let layouts = [
        // systemd driver: best effort, burstable, guaranteed; containerd, CRI-O, docker
        "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podUID_.slice/cri-containerd-ID.scope",
        "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID_.slice/crio-ID.scope",
        "kubepods.slice/kubepods-podUID_.slice/docker-ID.scope",
        // cgroupfs driver
        "kubepods/burstable/podUID/ID",
        "kubepods/podUID/ID",
        // kind, and a cgroup root of the kubelet's own
        "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-podUID_.slice/cri-containerd-ID.scope",
        "docker/NODE/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podUID_.slice/cri-containerd-ID.scope",
        "system.slice/docker-NODE.scope/kubelet/kubepods/besteffort/podUID/ID",
        // containerd with the cgroupfs driver under systemd, Talos, LXC
        "system.slice/containerd.service/kubepods-burstable-podUID_.slice:cri-containerd:ID",
        "podruntime/runtime/kubepods/burstable/podUID/ID",
        "lxc.payload.k8s/kubepods/podUID/ID",
    ];
    for layout in layouts {
        let group = spell(layout);
        for version in [Version::One, Version::Two, Version::Hybrid] {
            let root =
                tree(version, &[group.clone(), format!("{group}/init.scope"), "system.slice/x".into()]);
            let container = find(root.path(), &wanted()).unwrap_or_else(|error| panic!("{layout}: {error}"));
            let hierarchy = if version == Version::Two { "" } else { "memory" };
            assert_eq!(container.folder, root.path().join(hierarchy).join(&group), "{layout}");
            assert_eq!(container.pod_folder.is_none(), layout.contains(":cri-containerd:"), "{layout}");
        }
    }
}

#[test]
fn a_static_pod_is_known_by_its_hash() {
    let group = format!("kubepods/burstable/pod{HASH}/{ID}");
    let root = tree(Version::Two, std::slice::from_ref(&group));
    let with_hash = Wanted::new(UID, Some(HASH), ID).unwrap();
    assert_eq!(find(root.path(), &with_hash).unwrap().folder, root.path().join(group));
    assert!(matches!(find(root.path(), &wanted()), Err(ContainerError::OtherPod { .. })));
}

#[test]
fn a_container_of_another_pod_is_refused() {
    for group in [
        "kubepods/burstable/podffffffff-0000-4000-8000-aabbccddeeff/ID",
        "kubepods.slice/kubepods-pod0a1b2c3d_0000_4000_8000_aabbccddeeff0.slice/cri-containerd-ID.scope",
        "system.slice/docker-ID.scope",
        // a program in the container of somebody else that made a group named like the container
        "kubepods/podffffffff-0000-4000-8000-aabbccddeeff/ID/kubepods/podUID/ID",
    ] {
        let root = tree(Version::Two, &[spell(group), spell("kubepods/podUID/NODE")]);
        let error = find(root.path(), &wanted()).unwrap_err();
        assert!(matches!(error, ContainerError::OtherPod { .. }), "{group}: {error}");
        assert!(error.to_string().contains(UID), "{error}");
    }
}

#[test]
fn groups_that_a_container_made_are_not_believed() {
    let fake = spell("kubepods/podffffffff-0000-4000-8000-aabbccddeeff/NODE/kubepods/podUID/ID");
    let root = tree(Version::Two, &[fake]);
    assert!(matches!(find(root.path(), &wanted()), Err(ContainerError::NotHere { .. })));
}

#[test]
fn what_the_pod_does_not_have_is_not_found() {
    for groups in [vec![], vec!["kubepods/podUID/NODE"], vec!["kubepods/podUID/crio-conmon-ID.scope"]] {
        let groups: Vec<String> = groups.into_iter().map(spell).collect();
        let root = tree(Version::One, &groups);
        let error = find(root.path(), &wanted()).unwrap_err();
        assert_eq!(error, ContainerError::NotHere { id: "3f4e1c2b9a77".into() }, "{groups:?}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(find(empty.path(), &wanted()), Err(ContainerError::NoHierarchy(_))));
}

#[test]
fn an_id_is_64_hexadecimal_digits() {
    for id in ["", "containerd://", "containerd://abc", "../../etc", &format!("{ID}0"), &ID.replace('a', "g")]
    {
        assert!(matches!(Wanted::new(UID, None, id), Err(ContainerError::NotAnId(_))), "{id}");
    }
    assert_eq!(Wanted::new(UID, None, &ID.to_uppercase()).unwrap().id, ID);
}
