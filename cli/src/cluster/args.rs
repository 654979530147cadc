//! The command line of what is done on a cluster.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum};
use leakhound_crds::{
    duration,
    investigation::{target::WorkloadKind, wishes::Mode},
};

use crate::args::FailOn;

const EXAMPLES: &str = "\
Examples:
  kubectl leak run cart-6c9f-x2lqp                    watch a pod for ten minutes, and say what leaks
  kubectl leak run deployment/cart -c app --duration 1h
                                                      the pod of a workload with the most trouble with memory
  kubectl leak show cart-6c9f-x2lqp-k7d2p             what is known so far, or what was found
  kubectl leak report cart-6c9f-x2lqp-k7d2p --open    the whole report in a browser
  kubectl leak doctor                                 which nodes can be investigated, and what is missing

Exit status: 0 it worked, whatever was found; 1 it failed; 2 wrong use; 3 --fail-on was met.";

/// Which call stacks of a pod leak memory, how sure are we, and where in the source are they?
#[derive(Debug, Parser)]
#[command(name = "kubectl-leak", bin_name = "kubectl leak", version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Plugin {
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    /// Say what happens inside; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Args)]
pub(crate) struct Cluster {
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which cluster, and where in it.
#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    /// Namespace of the pod and of the investigation [default: the context's]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Context of the kubeconfig [default: the current one]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The kubeconfig [default: $KUBECONFIG, ~/.kube/config]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Namespace in which Leakhound itself is installed
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "LEAKHOUND_NAMESPACE",
        default_value = "leakhound-system"
    )]
    pub(crate) system_namespace: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Investigate a pod: create a LeakInvestigation, follow it, print what it found
    Run(Run),
    /// List investigations
    List(List),
    /// Show what is known about an investigation, or what it found
    Show(Show),
    /// Fetch the report of an investigation
    Report(Report),
    /// End an investigation now, with a report about what was seen
    Stop(Stop),
    /// Show which nodes can be investigated, what is missing, and how to get it
    Doctor(Doctor),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A pod, or a workload as in deployment/cart
    #[arg(value_name = "POD")]
    pub(crate) target: Named,
    /// Container of the pod [default: the annotated default container, else the only one]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) container: Option<String>,
    /// How long to watch, 15s to 24h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time)]
    pub(crate) duration: String,
    /// Time between snapshots [default: a twentieth of the duration, 5 s to 1 min]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) interval: Option<String>,
    /// What to watch
    #[arg(long, value_enum, default_value_t)]
    pub(crate) mode: ModeName,
    /// How many pods of a workload to watch
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=10))]
    pub(crate) pods: i32,
    /// Name of the investigation [default: made from the pod's]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Only create it: print its name and do not wait
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// No progress line
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Stacks to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,
    /// End with exit status 3 when the result is at least this bad
    #[arg(long, value_name = "WHAT", value_enum, conflicts_with = "no_wait")]
    pub(crate) fail_on: Option<FailOn>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Of all namespaces
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Name of the investigation
    pub(crate) name: String,
    /// Stacks to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Name of the investigation
    pub(crate) name: String,
    /// Open it in a browser
    #[arg(long, conflicts_with = "output")]
    pub(crate) open: bool,
    /// Where to write it; - for standard output [default: a file in the current folder]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Which of the formats that were asked for by spec.report.formats
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Name of the investigation
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeName {
    /// The program's allocations and frees
    #[default]
    Heap,
    /// Page faults: where memory grows, at little cost
    Growth,
    /// What the kernel allocates for the container; needs a right of its own
    Kernel,
}

impl From<ModeName> for Mode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Heap => Self::Heap,
            ModeName::Growth => Self::Growth,
            ModeName::Kernel => Self::Kernel,
        }
    }
}

/// A form of the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One file for any browser
    #[default]
    Html,
    /// For `go tool pprof`
    Pprof,
    /// The whole analysis for programs
    Json,
    /// Folded stacks, for flame-graph tools
    Folded,
}

/// A target as kubectl's users name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    Pod(String),
    Workload(WorkloadKind, String),
}

impl Named {
    /// Without its kind.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Pod(name) | Self::Workload(_, name) => name,
        }
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').unwrap_or(("pod", text));
        if name.is_empty() || name.contains('/') {
            return Err(format!("{text:?} names nothing: write POD, pod/NAME or deployment/NAME"));
        }
        let name = name.to_owned();
        let kind = match kind.to_ascii_lowercase().as_str() {
            "pod" | "pods" | "po" => return Ok(Self::Pod(name)),
            "deployment" | "deployments" | "deployment.apps" | "deploy" => WorkloadKind::Deployment,
            "statefulset" | "statefulsets" | "statefulset.apps" | "sts" => WorkloadKind::StatefulSet,
            "daemonset" | "daemonsets" | "daemonset.apps" | "ds" => WorkloadKind::DaemonSet,
            "replicaset" | "replicasets" | "replicaset.apps" | "rs" => WorkloadKind::ReplicaSet,
            kind => {
                return Err(format!(
                    "{kind:?} cannot be investigated: name a pod, deployment, statefulset, daemonset or replicaset"
                ));
            }
        };
        Ok(Self::Workload(kind, name))
    }
}

/// Checked here, given to the API server as typed.
fn time(text: &str) -> Result<String, duration::DurationError> {
    duration::parse(text).map(|_time| text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Plugin::command().debug_assert();
    }

    #[test]
    fn targets_are_named_as_for_kubectl() {
        let pod = |name: &str| Ok(Named::Pod(name.to_owned()));
        assert_eq!("cart-0".parse(), pod("cart-0"));
        assert_eq!("pod/cart-0".parse(), pod("cart-0"));
        for (text, kind) in [
            ("deployment/cart", WorkloadKind::Deployment),
            ("deploy/cart", WorkloadKind::Deployment),
            ("StatefulSet/cart", WorkloadKind::StatefulSet),
            ("ds/cart", WorkloadKind::DaemonSet),
            ("replicaset.apps/cart", WorkloadKind::ReplicaSet),
        ] {
            assert_eq!(text.parse(), Ok(Named::Workload(kind, "cart".to_owned())), "{text}");
        }
        for wrong in ["", "pod/", "node/n1", "a/b/c", "service/cart"] {
            assert!(wrong.parse::<Named>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_are_understood_before_and_after_the_command() {
        let parse = |words: &[&str]| Plugin::try_parse_from([&["kubectl-leak"], words].concat());
        let asked = parse(&["-n", "shop", "run", "cart-0", "-c", "app", "--duration", "90s"]).unwrap();
        assert_eq!(asked.cluster.access.namespace.as_deref(), Some("shop"));
        assert!(matches!(
            asked.cluster.command,
            Command::Run(Run { target: Named::Pod(name), mode: ModeName::Heap, duration, .. })
                if name == "cart-0" && duration == "90s"
        ));
        let asked = parse(&["show", "x", "-n", "shop", "--context", "west"]).unwrap();
        assert_eq!(asked.cluster.access.context.as_deref(), Some("west"));
        assert_eq!(asked.cluster.access.system_namespace, "leakhound-system");
        for wrong in [
            &["run"][..],
            &["run", "cart-0", "--duration", "10"],
            &["run", "cart-0", "--mode", "stack"],
            &["run", "cart-0", "--pods", "11"],
            &["run", "cart-0", "--no-wait", "--fail-on", "leak"],
            &["report", "x", "--open", "-o", "y"],
            &["frobnicate"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
