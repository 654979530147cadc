//! What the name of a cgroup says: whose pod, whose container. Matched anywhere in a name and under any prefix, because
//! every runtime, every cgroup driver and every cluster in a container writes them another way.

/// Length of a container id: 256 bits in hexadecimal.
const ID_LENGTH: usize = 64;

/// Whether this is a whole container id.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether the group of this name is the container's. The monitor that CRI-O keeps beside a container
/// (`crio-conmon-ID.scope`) is not in it.
pub(super) fn is_container(name: &str, id: &str) -> bool {
    !name.contains("conmon")
        && name.split(|c: char| !c.is_ascii_hexdigit()).any(|piece| piece.eq_ignore_ascii_case(id))
}

/// Whether the group of this name is any container's.
pub(super) fn is_some_container(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_hexdigit()).any(is_id)
}

/// Whether the group of this name is any pod's: `pod`, then a uid or a static pod's hash.
pub(super) fn is_some_pod(name: &str) -> bool {
    const SHORTEST_UID: usize = 32;
    name.match_indices("pod").any(|(at, _)| {
        let rest = name.get(at + 3..).unwrap_or_default();
        rest.bytes().take_while(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_')).count()
            >= SHORTEST_UID
    })
}

/// Whether the group of this name belongs to the pod: `podUID`, `kubepods-burstable-podUID.slice` (systemd wants `_` for
/// `-`), any prefix, and whatever a runtime appends behind a colon.
pub(super) fn is_pod(name: &str, pod_uid: &str) -> bool {
    [pod_uid.to_owned(), pod_uid.replace('-', "_")].iter().any(|uid| {
        name.match_indices(&format!("pod{uid}")).any(|(at, whole)| {
            let before = name.get(..at).and_then(|text| text.chars().next_back());
            let after = name.get(at + whole.len()..).and_then(|text| text.chars().next());
            matches!(before, None | Some('-' | ':')) && matches!(after, None | Some('.' | ':'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0a1b2c3d-0000-4000-8000-aabbccddeeff";
    const ID: &str = "3f4e1c2b9a773f4e1c2b9a773f4e1c2b9a773f4e1c2b9a773f4e1c2b9a77abcd";

    #[test]
    fn a_pod_is_known_by_its_uid_in_every_spelling() {
        for name in [
            "pod0a1b2c3d-0000-4000-8000-aabbccddeeff",
            "kubepods-pod0a1b2c3d_0000_4000_8000_aabbccddeeff.slice",
            "kubepods-besteffort-pod0a1b2c3d_0000_4000_8000_aabbccddeeff.slice",
            "kubelet-kubepods-burstable-pod0a1b2c3d_0000_4000_8000_aabbccddeeff.slice",
            "kubepods-burstable-pod0a1b2c3d_0000_4000_8000_aabbccddeeff.slice:cri-containerd:3f4e",
        ] {
            assert!(is_pod(name, UID) && is_some_pod(name), "{name}");
        }
        for name in [
            "pod0a1b2c3d-0000-4000-8000-aabbccddeef",
            "pod0a1b2c3d-0000-4000-8000-aabbccddeeff0",
            "kubepods-pod0a1b2c3d_0000_4000_8000_aabbccddeeff_1.slice",
            "notpod0a1b2c3d-0000-4000-8000-aabbccddeeff",
            "0a1b2c3d-0000-4000-8000-aabbccddeeff",
            "kubepods.slice",
            "",
        ] {
            assert!(!is_pod(name, UID), "{name}");
        }
        assert!(!is_some_pod("kubepods-burstable.slice") && !is_some_pod("podruntime"));
        assert!(is_pod(
            "kubepods-podd41d8cd98f00b204e9800998ecf8427e.slice",
            "d41d8cd98f00b204e9800998ecf8427e"
        ));
    }

    #[test]
    fn a_container_is_known_by_its_whole_id_and_its_monitor_is_not_it() {
        for name in
            ["ID", "cri-containerd-ID.scope", "crio-ID.scope", "docker-ID.scope", "x.slice:cri-containerd:ID"]
        {
            assert!(is_container(&name.replace("ID", ID), ID), "{name}");
            assert!(is_container(&name.replace("ID", &ID.to_uppercase()), ID), "{name}");
        }
        for name in ["crio-conmon-ID.scope", "crio-ID0.scope", "cri-containerd-0ID.scope", "init.scope"] {
            assert!(!is_container(&name.replace("ID", ID), ID), "{name}");
        }
        assert!(!is_container(&ID[..63], ID));
        assert!(is_some_container(&format!("crio-conmon-{ID}.scope")) && !is_some_container("init.scope"));
        assert!(is_id(ID) && !is_id(&ID[1..]) && !is_id(&ID.replace('a', "g")));
    }
}
