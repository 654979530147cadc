//! The agent's program, and what can be seen of it from outside.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use leakhound_e2e::{binary, process::Process, wait};

/// How an agent is started; started twice, it is the same agent after a restart.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// Where its files are.
    pub(crate) folder: PathBuf,
    /// The node that it runs on.
    pub(crate) node: String,
    /// Its access to the API server.
    pub(crate) kubeconfig: PathBuf,
    /// The operator's address.
    pub(crate) operator: String,
    /// More arguments.
    pub(crate) arguments: Vec<String>,
    /// More of its environment.
    pub(crate) environment: BTreeMap<String, String>,
}

/// An agent that runs.
pub(crate) struct Agent {
    /// The program; dropping it kills it.
    pub(crate) process: Process,
    admin: String,
}

impl Program {
    /// Starts it.
    pub(crate) fn start(&self) -> Result<Agent> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let admin = format!("127.0.0.1:{port}");
        let mut command = Command::new(built()?);
        let file = |name: &str| self.folder.join(name);
        command.args(["--node-name", &self.node, "--namespace", "leakhound-system", "--pod-name", "agent"]);
        command.args(["--operator-url", &self.operator, "--admin-listen", &admin, "--log-format", "json"]);
        command.arg("--ca-file").arg(file("ca.crt")).arg("--token-file").arg(file("token"));
        command.arg("--spool").arg(file("spool")).args(&self.arguments);
        command.env("KUBECONFIG", &self.kubeconfig).envs(&self.environment);
        let process = Process::spawn(&command, &file("agent.log"))?;
        Ok(Agent { process, admin })
    }

    /// Files in its spool.
    pub(crate) fn spooled(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.folder.join("spool")).into_iter().flatten().flatten();
        let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
        files.map(|file| file.path()).collect()
    }
}

impl Agent {
    /// Asks /healthz, /readyz or /metrics; gives the status code and the text.
    pub(crate) async fn ask(&self, path: &str) -> Result<(u16, String)> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(&self.admin).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) =
            answer.split_once("\r\n\r\n").context("the agent's answer has no end of header")?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status code")?;
        Ok((status, body.to_owned()))
    }

    /// Waits until /readyz says so.
    pub(crate) async fn ready(&self) -> Result<()> {
        wait::until("the agent to be ready", Duration::from_secs(60), async || {
            let (status, why) = self.ask("/readyz").await?;
            ensure!(status == 200, "{why}");
            Ok(())
        })
        .await
        .with_context(|| self.process.log_tail(20))
    }

    /// How many probes it holds in the kernel: each is an open file of this process and of no other.
    pub(crate) fn probes(&self) -> Result<usize> {
        let folder = Path::new("/proc").join(self.process.id().to_string()).join("fd");
        let files = fs::read_dir(folder)?.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        Ok(files.filter(|file| is_probe(&file.to_string_lossy())).count())
    }

    /// Waits until it holds probes, or none.
    pub(crate) async fn wait_for_probes(&self, wanted: bool) -> Result<()> {
        let what = if wanted { "probes to be on" } else { "all probes to be off" };
        wait::until(what, Duration::from_secs(60), async || {
            let probes = self.probes()?;
            ensure!((probes > 0) == wanted, "there are {probes}");
            Ok(())
        })
        .await
        .with_context(|| self.process.log_tail(20))
    }
}

/// Builds the agent, once for all tests of this program.
pub(super) fn built() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| binary("leakhound-agent").map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn is_probe(file: &str) -> bool {
    ["bpf_link", "bpf-link", "[perf_event]"].iter().any(|kind| file.contains(kind))
}
