//! `leakhound`: which call stacks leak memory, how sure are we, and where in the source are they?
//!
//! ```text
//! args      the command line as typed; usage says what is wrong with it
//! run       a live investigation           -> outputs -> table
//! report    a recording or a memleak log   -> outputs -> table
//! diff      two of those
//! doctor    what this machine allows
//! cluster   the same on a Kubernetes cluster, through its API; also as `kubectl leak`
//! ```

mod args;
mod cluster;
mod columns;
mod destination;
mod diff;
mod doctor;
mod human;
mod manual;
mod outputs;
mod progress;
mod report;
mod run;
mod stack;
mod table;
mod usage;

use std::{
    env,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::CommandFactory;
use tracing_subscriber::{EnvFilter, fmt};

use args::{Cli, Command};
use cluster::{Called, args::Plugin};

/// The investigation worked, but `--fail-on` was met.
const FOUND: u8 = 3;

fn main() -> ExitCode {
    let (name, result) = match is_plugin() {
        true => ("kubectl leak", plugin()),
        false => ("leakhound", command()),
    };
    match result {
        Ok(Outcome::Worked) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(FOUND),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // One line: why, and what to do.
            let _ = writeln!(io::stderr(), "{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// kubectl runs the program `kubectl-leak` for `kubectl leak`.
fn is_plugin() -> bool {
    env::args_os()
        .next()
        .is_some_and(|path| Path::new(&path).file_name().is_some_and(|name| name == "kubectl-leak"))
}

fn plugin() -> anyhow::Result<Outcome> {
    let plugin: Plugin = usage::parse("kubectl leak");
    log(plugin.verbose);
    cluster::cluster(&plugin.cluster, Called::Kubectl)
}

fn command() -> anyhow::Result<Outcome> {
    let cli: Cli = usage::parse("leakhound");
    log(cli.verbose);
    match cli.command {
        Command::Run(run) => run::run(&run),
        Command::Report(report) => report::report(&report),
        Command::Diff(asked) => diff::compare(&asked),
        Command::Doctor(doctor) => doctor::doctor(&doctor),
        Command::Cluster(asked) => cluster::cluster(&asked, Called::Leakhound),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "leakhound", &mut io::stdout());
            Ok(Outcome::Worked)
        }
        Command::Man { directory } => manual::write(&directory),
    }
}

/// How a command ended that did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It worked.
    Worked,
    /// It worked, and found what `--fail-on` asks about.
    Found,
}

/// `leakhound report ... | head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

fn log(verbose: u8) {
    let level = match verbose {
        // what it says of connections, our own errors say as well
        0 => "warn,kube_client=off,kube_runtime=off",
        1 => "leakhound=debug,leakhound_tracer=debug,info",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("LEAKHOUND_LOG").unwrap_or_else(|_unset| EnvFilter::new(level));
    fmt().with_env_filter(filter).with_writer(io::stderr).without_time().init();
}
