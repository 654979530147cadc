//! Who is who in the cluster: certificates of the servers, and a kubeconfig for each daemon and for the administrator.

use std::fs;

use anyhow::Result;

use super::daemons::api_server_names;
use super::layout::{Layout, NODE};
use crate::pki::{Authority, kubeconfig, write_kubeconfig, write_token_keys};

/// Writes `pki/` and the kubeconfig files into the cluster's folder.
pub(super) fn write(layout: &Layout) -> Result<()> {
    let folder = layout.path("pki");
    fs::create_dir_all(&folder)?;
    let authority = Authority::create()?;
    authority.write(&folder)?;
    write_token_keys(&folder)?;
    authority.issue("kube-apiserver", None, &api_server_names(layout))?.write(&folder, "apiserver")?;

    let node = format!("system:node:{NODE}");
    let node_names = [NODE.to_owned(), layout.node_address().to_string()];
    let users: [(&str, &str, Option<&str>, &[String]); 5] = [
        ("admin", "admin", Some("system:masters"), &[]),
        ("controller-manager", "system:kube-controller-manager", None, &[]),
        ("scheduler", "system:kube-scheduler", None, &[]),
        ("proxy", "system:kube-proxy", None, &[]),
        // The kubelet is a client of the API server, and a server to it.
        ("kubelet", &node, Some("system:nodes"), &node_names),
    ];
    for (file, user, group, names) in users {
        let identity = authority.issue(user, group, names)?;
        identity.write(&folder, file)?;
        let config = kubeconfig(&layout.server(), authority.certificate(), &identity)?;
        write_kubeconfig(&layout.path(&format!("{file}.conf")), &config)?;
    }
    Ok(())
}
