//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, ValueEnum};
use reqwest::Url;

/// Watches the LeakProbes of one node: proves the container, runs the tracer, uploads the recording.
#[derive(Debug, Clone, Parser)]
#[command(name = "leakhound-agent", version)]
pub(crate) struct Args {
    /// Name of the node that this agent runs on.
    #[arg(long, env = "NODE_NAME")]
    pub(crate) node_name: String,
    /// Leakhound's own namespace, where LeakProbes and Leases are.
    #[arg(long, env = "POD_NAMESPACE")]
    pub(crate) namespace: String,
    /// Name of the pod that this agent runs in.
    #[arg(long, env = "POD_NAME")]
    pub(crate) pod_name: String,
    /// Where the operator takes recordings, https://NAME:PORT.
    #[arg(long, env = "OPERATOR_URL", value_parser = secure)]
    pub(crate) operator_url: Url,
    /// The authority that signs the operator's certificate, PEM; read again at each upload.
    #[arg(long, default_value = "/etc/leakhound/ca/ca.crt")]
    pub(crate) ca_file: PathBuf,
    /// A service account token with audience leakhound; read again at each upload.
    #[arg(long, default_value = "/var/run/secrets/leakhound/token")]
    pub(crate) token_file: PathBuf,
    /// Where recordings are kept until the operator has them.
    #[arg(long, default_value = "/var/spool/leakhound")]
    pub(crate) spool: PathBuf,
    /// Most MiB that the spool may hold.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) spool_mib: u64,
    /// Most MiB of one recording, as the operator is set to take.
    #[arg(long, value_name = "MIB", default_value_t = 32)]
    pub(crate) recording_mib: u64,
    /// Most containers watched at a time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) max_probes: u16,
    /// Where the node's cgroup tree is mounted.
    #[arg(long, default_value = "/sys/fs/cgroup")]
    pub(crate) cgroup_root: PathBuf,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, default_value = "0.0.0.0:9465")]
    pub(crate) admin_listen: SocketAddr,
    /// How log lines are written; LEAKHOUND_LOG holds the filter, such as `debug`.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// A recording and the token that goes with it are for the operator alone.
fn secure(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}"))?;
    match url.scheme() {
        "https" => Ok(url),
        other => Err(format!("{other} would show the agent's token to everybody: use https")),
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
        assert!(secure("https://leakhound-operator:8443").is_ok());
        assert!(secure("http://leakhound-operator:8443").unwrap_err().contains("use https"));
        assert!(secure("leakhound-operator").is_err());
    }
}
