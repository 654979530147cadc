//! etcd, kube-apiserver and the few controllers without which rights and namespaces do not work, on loopback.

mod access;
mod programs;

use std::{
    fs,
    path::PathBuf,
    process::ExitStatus,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use kube::Client;
use tokio::sync::OnceCell;

use crate::{pki::Authority, ports::free_ports, process::Process, scratch::Scratch, wait::until};

pub use access::{Binding, Output, request_token};

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(120);

/// A running API server with role-based and node authorization, audit-free and alone. Dropping it ends everything.
pub struct ApiServer {
    /// Where it listens: `https://127.0.0.1:PORT`.
    pub url: String,
    authority: Authority,
    // fields are dropped in this order: who needs another comes before it
    controllers: Mutex<Option<Process>>,
    server: Mutex<Option<Process>>,
    _etcd: Process,
    scratch: Scratch,
    ports: Ports,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    server: u16,
    etcd: u16,
}

impl ApiServer {
    /// Starts one, which takes some seconds, and waits until it is ready.
    pub async fn start() -> Result<Self> {
        let mut last = None;
        // a port can be taken between choosing and using it
        for _ in 0..3 {
            match Self::try_start().await {
                Ok(server) => return Ok(server),
                Err(error) if format!("{error:#}").contains("address already in use") => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.context("no attempt was made")?)
    }

    /// Whether the programs for one are here. Without: a loud line, and a panic in CI.
    ///
    /// # Panics
    /// In CI.
    pub fn available() -> bool {
        programs::available()
    }

    /// The one that all tests of a program share, each in a namespace of its own, with the chart installed by its default
    /// values. None, with a loud line, where the programs for it are missing.
    ///
    /// # Panics
    /// When it does not start, and in CI also when programs are missing.
    #[allow(clippy::panic, reason = "a test can do nothing without it")]
    pub async fn shared() -> Option<&'static Self> {
        static SHARED: OnceCell<ApiServer> = OnceCell::const_new();
        if !Self::available() {
            return None;
        }
        let start = async {
            let server = Self::start().await?;
            server.install("leakhound-system", &serde_json::json!({})).await?;
            anyhow::Ok(server)
        };
        let server = SHARED.get_or_try_init(|| start).await;
        Some(server.unwrap_or_else(|error| panic!("no API server: {error:#}")))
    }

    async fn try_start() -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default(); // another test may have done so
        let scratch = Scratch::new("leakhound-apiserver-")?;
        let authority = Authority::create()?;
        let [server, etcd] = free_ports()?;
        let ports = Ports { server, etcd };
        programs::write_certificates(&authority, scratch.path())?;
        let log = |name: &str| scratch.join(&format!("{name}.log"));
        let etcd = Process::spawn(&programs::etcd(scratch.path(), ports), &log("etcd"))?;
        let server = Process::spawn(&programs::apiserver(scratch.path(), ports)?, &log("apiserver"))?;
        let this = Self {
            url: format!("https://127.0.0.1:{}", ports.server),
            authority,
            controllers: Mutex::new(None),
            server: Mutex::new(Some(server)),
            _etcd: etcd,
            scratch,
            ports,
        };
        this.ready().await?;
        let admin = this.kubeconfig("admin", Some("system:masters"))?;
        let controllers = programs::controllers(this.scratch.path(), &admin)?;
        *locked(&this.controllers) =
            Some(Process::spawn(&controllers, &this.scratch.join("controllers.log"))?);
        Ok(this)
    }

    /// Kills the API server; what it stored stays.
    pub fn stop(&self) -> Result<()> {
        match locked(&self.server).as_mut() {
            Some(server) => server.kill(),
            None => Ok(()),
        }
    }

    /// Starts the API server again after [`ApiServer::stop`], at the same address, and waits until it is ready.
    pub async fn resume(&self) -> Result<()> {
        let command = programs::apiserver(self.scratch.path(), self.ports)?;
        let server = Process::spawn(&command, &self.scratch.join("apiserver.log"))?;
        *locked(&self.server) = Some(server);
        self.ready().await
    }

    /// A path in the folder that goes with the server, for what belongs to it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// The certificate of its authority, as PEM.
    pub fn ca(&self) -> &str {
        self.authority.certificate()
    }

    async fn ready(&self) -> Result<()> {
        let client = self.admin()?;
        let answer = until("the API server is ready", START, async || match self.ended()? {
            Some(status) => Ok(Err(anyhow!("the API server ended with {status}"))),
            None => Ok(Ok(ask(&client, "/readyz").await?)),
        });
        answer.await.flatten().map(drop).with_context(|| self.log_tail())
    }

    fn ended(&self) -> Result<Option<ExitStatus>> {
        Ok(locked(&self.server).as_mut().map(Process::exited).transpose()?.flatten())
    }

    fn log_tail(&self) -> String {
        let tail = |name: &str| {
            let log = fs::read_to_string(self.scratch.join(name)).unwrap_or_default();
            log.lines().rev().take(8).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
        };
        format!("etcd:\n{}\napiserver:\n{}", tail("etcd.log"), tail("apiserver.log"))
    }
}

async fn ask(client: &Client, path: &str) -> Result<String> {
    Ok(client.request_text(http::Request::get(path).body(Vec::new())?).await?)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
