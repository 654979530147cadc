//! Command line and environment, resolved once.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};
use kube::ResourceExt;
use leakhound_crds::{LeakInvestigation, names};

use crate::{
    queue::Slots,
    refusal::{Reason, Refusal},
};

/// Reconciles LeakInvestigations, receives recordings, serves reports.
#[derive(Debug, Clone, Parser)]
#[command(name = "leakhound-operator", version, args_override_self = true)]
pub(crate) struct Settings {
    /// Something to do instead of running
    #[command(subcommand)]
    pub(crate) errand: Option<Errand>,
    /// Namespace of the operator, the agents and their probes
    #[arg(long, env = "POD_NAMESPACE", default_value = "leakhound-system")]
    pub(crate) namespace: String,
    /// Name of this replica in leader election: its pod's name
    #[arg(long, env = "POD_NAME", default_value_t = uuid::Uuid::new_v4().to_string())]
    pub(crate) identity: String,
    /// Where agents upload recordings, over TLS
    #[arg(long, default_value = "0.0.0.0:8443")]
    pub(crate) upload_listen: SocketAddr,
    /// Where people read reports
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub(crate) report_listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are
    #[arg(long, default_value = "0.0.0.0:9464")]
    pub(crate) admin_listen: SocketAddr,
    /// How people reach --report-listen; the beginning of every link
    #[arg(long, default_value = "http://leakhound-operator.leakhound-system.svc:8080", value_parser = base_url)]
    pub(crate) report_url: String,
    /// Where recordings and reports are kept: file:///directory, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix
    #[arg(long, default_value = "file:///var/lib/leakhound")]
    pub(crate) store: String,
    /// Further names by which agents may reach the upload port
    #[arg(long = "upload-name", value_name = "NAME")]
    pub(crate) upload_names: Vec<String>,
    /// Largest recording that is taken, in bytes
    #[arg(long, default_value_t = 32 << 20, value_name = "BYTES")]
    pub(crate) upload_limit: u64,
    /// Service account of the agents
    #[arg(long, default_value = names::AGENT_ACCOUNT)]
    pub(crate) agent_account: String,
    /// Namespaces in which nothing may be investigated, besides those with the label leakhound.dev/deny and --namespace
    #[arg(long, value_delimiter = ',', default_value = "kube-system", value_name = "NAMESPACE,...")]
    pub(crate) deny_namespaces: Vec<String>,
    /// Probes on one container at a time
    #[arg(long, default_value_t = 1, value_name = "PROBES", value_parser = clap::value_parser!(u16).range(1..))]
    container_slots: u16,
    /// Probes on one node at a time
    #[arg(long, default_value_t = 2, value_name = "PROBES", value_parser = clap::value_parser!(u16).range(1..))]
    node_slots: u16,
    /// Probes in the cluster at a time
    #[arg(long, default_value_t = 10, value_name = "PROBES", value_parser = clap::value_parser!(u16).range(1..))]
    cluster_slots: u16,
    /// How long a leader that says nothing stays the leader
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub(crate) lease_duration: Duration,
    /// Time between two looks at the certificates
    #[arg(long, default_value = "1m", value_parser = duration)]
    pub(crate) certificate_interval: Duration,
    /// Time between two looks for stored recordings and reports that nobody owns any more
    #[arg(long, default_value = "10m", value_parser = duration)]
    pub(crate) sweep_interval: Duration,
    /// How log lines look
    #[arg(long, env = "LEAKHOUND_LOG_FORMAT", value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// What is logged, as in RUST_LOG
    #[arg(long, env = "LEAKHOUND_LOG", default_value = "info,kube_lease_manager=warn")]
    pub(crate) log: String,
}

/// What the operator's program does besides running.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum Errand {
    /// End every investigation with what was seen until now, as the chart does before it is uninstalled
    StopAll {
        /// How long to wait for the last one
        #[arg(long, default_value = "30s", value_parser = duration)]
        patience: Duration,
    },
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Settings {
    /// How many probes may be on at a time.
    pub(crate) fn slots(&self) -> Slots {
        Slots {
            container: self.container_slots.into(),
            node: self.node_slots.into(),
            cluster: self.cluster_slots.into(),
        }
    }

    /// Every name by which agents may reach the upload port.
    pub(crate) fn server_names(&self) -> Vec<String> {
        let service = format!("leakhound-operator.{}.svc", self.namespace);
        let names = [format!("{service}.cluster.local"), service, "localhost".to_owned()];
        let mut all: Vec<String> = names.into_iter().chain(self.upload_names.iter().cloned()).collect();
        let mut seen = BTreeSet::new();
        all.retain(|name| seen.insert(name.clone()));
        all
    }

    /// Why this installation does not investigate what is asked for, whatever the target does.
    pub(crate) fn bar(&self, investigation: &LeakInvestigation) -> Option<Refusal> {
        let namespace = investigation.namespace().unwrap_or_default();
        (namespace == self.namespace || self.deny_namespaces.contains(&namespace)).then(|| {
            Refusal::new(
                Reason::Forbidden,
                format!("namespace {namespace} is not investigated: see --deny-namespaces of the operator"),
            )
        })
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    leakhound_crds::duration::parse(text).map_err(|error| error.to_string())
}

fn base_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    if url.len() > 300 || !(url.starts_with("http://") || url.starts_with("https://")) {
        return Err("give http://HOST or https://HOST, at most 300 characters".to_owned());
    }
    Ok(url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let settings = Settings::try_parse_from(["leakhound-operator"]).unwrap();
        assert_eq!(settings.slots(), Slots { container: 1, node: 2, cluster: 10 });
        assert_eq!(
            (settings.deny_namespaces.as_slice(), &settings.errand),
            (&["kube-system".to_owned()][..], &None)
        );
        assert_eq!(settings.server_names()[1], format!("leakhound-operator.{}.svc", settings.namespace));
    }

    #[test]
    fn wrong_values_are_refused() {
        for wrong in
            ["--node-slots=0", "--report-url=ftp://x", "--lease-duration=soon", "--upload-listen=8443"]
        {
            assert!(Settings::try_parse_from(["leakhound-operator", wrong]).is_err(), "{wrong}");
        }
        let settings =
            Settings::try_parse_from(["leakhound-operator", "--report-url=https://leaks.example/"]).unwrap();
        assert_eq!(settings.report_url, "https://leaks.example");
    }
}
