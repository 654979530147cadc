//! The command lines of a cluster's brain.

use std::{path::Path, process::Command};

use anyhow::Result;

use super::Ports;
use crate::{
    pki::{self, Authority},
    tools::Tools,
};

/// Without these, rights do not aggregate, namespaces do not go, tokens have no account and owners' objects stay.
const CONTROLLERS: &str = "clusterrole-aggregation-controller,namespace-controller,serviceaccount-controller,\
                           garbage-collector-controller,root-ca-certificate-publisher-controller";

pub(super) fn write_certificates(authority: &Authority, folder: &Path) -> Result<()> {
    let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
    authority.write(folder)?;
    authority.issue("kube-apiserver", None, &names)?.write(folder, "server")?;
    pki::write_token_keys(folder)
}

/// Whether everything is there to build and start an API server. Without: a failure in CI, a loud skip for a person.
#[allow(clippy::print_stderr, reason = "a person must see what was skipped")]
pub(super) fn available() -> bool {
    let missing: Vec<_> = [("go", "version"), ("etcd", "--version"), ("setpriv", "--version")]
        .into_iter()
        .filter(|(program, question)| Command::new(program).arg(question).output().is_err())
        .map(|(program, _)| program)
        .collect();
    if missing.is_empty() {
        return true;
    }
    let message = format!("no API server can be started without {}: run ./setup.sh test", missing.join(", "));
    assert!(std::env::var_os("CI").is_none(), "{message}");
    eprintln!("SKIPPED: {message}");
    false
}

pub(super) fn etcd(folder: &Path, ports: Ports) -> Command {
    let url = format!("http://127.0.0.1:{}", ports.etcd);
    let mut etcd = Command::new("etcd");
    etcd.arg("--data-dir").arg(folder.join("etcd"));
    etcd.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
    // a single member needs no peer, and a test needs no durable disk
    etcd.args(["--listen-peer-urls", "http://127.0.0.1:0", "--unsafe-no-fsync", "--logger", "zap"]);
    etcd
}

pub(super) fn apiserver(folder: &Path, ports: Ports) -> Result<Command> {
    let file = |name: &str| folder.join(name).into_os_string();
    let mut server = Command::new(Tools::build(&[Tools::Kubernetes])?.join("kube-apiserver"));
    server.arg("--etcd-servers").arg(format!("http://127.0.0.1:{}", ports.etcd));
    // it refuses to advertise loopback; nobody reads the address
    server.args(["--bind-address", "127.0.0.1", "--advertise-address", "192.0.2.1"]);
    server.args(["--endpoint-reconciler-type", "none", "--service-cluster-ip-range", "10.96.0.0/16"]);
    server.args(["--secure-port", &ports.server.to_string()]);
    server.args(["--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction"]);
    server.args(["--allow-privileged", "--service-account-issuer", "https://kubernetes.default.svc"]);
    for (flag, name) in [
        ("--cert-dir", "certificates"),
        ("--client-ca-file", "ca.crt"),
        ("--tls-cert-file", "server.crt"),
        ("--tls-private-key-file", "server.key"),
        ("--service-account-key-file", "sa.pub"),
        ("--service-account-signing-key-file", "sa.key"),
    ] {
        server.arg(flag).arg(file(name));
    }
    Ok(server)
}

pub(super) fn controllers(folder: &Path, kubeconfig: &Path) -> Result<Command> {
    let mut controllers = Command::new(Tools::build(&[Tools::Kubernetes])?.join("kube-controller-manager"));
    controllers.arg("--kubeconfig").arg(kubeconfig);
    controllers.arg("--root-ca-file").arg(folder.join("ca.crt"));
    controllers.args(["--controllers", CONTROLLERS, "--leader-elect=false", "--secure-port=0"]);
    Ok(controllers)
}
