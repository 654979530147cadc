//! Where a cluster keeps what it has, and what it is called: everything follows from one folder.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The name of the only node.
pub const NODE: &str = "node1";
/// First address of the Services: the API server itself.
pub(super) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// Where pods find the cluster's DNS.
pub(super) const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
pub(super) const SERVICE_RANGE: &str = "10.96.0.0/16";
pub(super) const POD_RANGE: &str = "10.244.0.0/16";
/// The part of `POD_RANGE` that the controller manager gives to the first node.
pub(super) const NODE_POD_RANGE: &str = "10.244.0.0/24";

/// The node sees folders of its own here, so the state may not lie below them.
const COVERED: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// One cluster's folder, and the names and addresses derived from it. The same folder always gives the same names, so that
/// `down` needs nothing but the folder, also after a crash.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
    tag: u32,
}

impl Layout {
    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made, or lies where the node has folders of its own.
    pub fn of(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let dir = dir.canonicalize().with_context(|| format!("cannot resolve {}", dir.display()))?;
        for covered in COVERED {
            ensure!(
                !dir.starts_with(covered),
                "{} lies below {covered}, where the node has a folder of its own: choose another folder",
                dir.display()
            );
        }
        // FNV-1a: stable across runs and releases, which the standard library's hasher does not promise.
        let tag = dir
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        Ok(Self { dir, tag })
    }

    /// The folder itself, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The name of the cluster's cgroup: one per folder.
    pub fn name(&self) -> String {
        format!("leakhound-{:08x}", self.tag)
    }

    /// The host's end of the cable to the node. Names of network devices have at most 15 bytes.
    pub fn host_device(&self) -> String {
        format!("lh{:08x}", self.tag)
    }

    /// Each cluster has four addresses of 10.200.0.0/16 for the cable between host and node.
    fn cable(&self, host: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 200, 0, 0)) + (self.tag % (1 << 14)) * 4 + host)
    }

    /// The host's address on the cable.
    pub fn host_address(&self) -> Ipv4Addr {
        self.cable(1)
    }

    /// The node's address; the API server listens on its port 6443.
    pub fn node_address(&self) -> Ipv4Addr {
        self.cable(2)
    }

    /// Where the API server is reached, from the host as from pods.
    pub fn server(&self) -> String {
        format!("https://{}:6443", self.node_address())
    }

    /// A file or folder of the state.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What one of the daemons wrote.
    pub fn log(&self, daemon: &str) -> PathBuf {
        self.dir.join("log").join(daemon)
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("admin.conf")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_follow_from_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let layout = Layout::of(&one).unwrap();
        assert_eq!(layout.name(), Layout::of(&one).unwrap().name());
        assert_ne!(layout.name(), Layout::of(&other).unwrap().name());
        assert!(layout.host_device().len() <= 15);
        assert_eq!(u32::from(layout.host_address()) % 4, 1, "the host has the first address of its four");
        assert_eq!(u32::from(layout.node_address()) - u32::from(layout.host_address()), 1);
    }

    #[test]
    fn a_folder_that_the_node_covers_is_refused() {
        let refused = Layout::of(Path::new("/run/leakhound-layout-test")).unwrap_err().to_string();
        std::fs::remove_dir("/run/leakhound-layout-test").ok();
        assert!(refused.contains("choose another folder"), "{refused}");
    }
}
