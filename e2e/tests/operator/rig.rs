//! One API server for all tests, and an operator for each: the tests take turns.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use leakhound_crds::{
    Condition, ConditionStatus, LeakInvestigation, LeakInvestigationStatus, LeakProbe,
    condition::{SUCCEEDED, find},
};
use leakhound_e2e::{
    ApiServer, apiserver::Binding, binary, ports::free_ports, process::Process, scratch::Scratch, wait::until,
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) const SYSTEM: &str = "leakhound-system";
/// Nothing that is waited for takes this long, unless the machine is very busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

static TURN: Mutex<()> = Mutex::const_new(());

/// An API server with the chart, an operator with its own account's rights, and a store.
pub(crate) struct Rig {
    pub(crate) server: &'static ApiServer,
    pub(crate) client: Client,
    pub(crate) operator: Operator,
    pub(crate) store: Scratch,
    _turn: MutexGuard<'static, ()>,
}

/// A running operator.
pub(crate) struct Operator {
    pub(crate) process: Process,
    pub(crate) upload: String,
    pub(crate) reports: String,
    pub(crate) admin: String,
}

impl Rig {
    /// Starts an operator with a directory as its store and waits until it is ready; `None` where no API server can run.
    pub(crate) async fn start(flags: &[&str]) -> Option<Self> {
        let server = ApiServer::shared().await?;
        let turn = TURN.lock().await;
        let store = Scratch::new("leakhound-store-").unwrap();
        let client = server.admin().unwrap();
        clear(&client).await.unwrap();
        let url = format!("file://{}", store.join("store").display());
        let operator = Operator::start(server, &store, "operator", &url, flags, &[]).await.unwrap();
        let rig = Self { server, client, operator, store, _turn: turn };
        rig.operator.ready().await.unwrap();
        Some(rig)
    }

    /// The store's URL.
    pub(crate) fn store_url(&self) -> String {
        format!("file://{}", self.stored("").display())
    }

    /// A path in the store.
    pub(crate) fn stored(&self, path: &str) -> PathBuf {
        self.store.join("store").join(path)
    }

    /// Starts another operator on the same store, or the same one again after it was killed.
    pub(crate) async fn start_another(&self, identity: &str, flags: &[&str]) -> Operator {
        Operator::start(self.server, &self.store, identity, &self.store_url(), flags, &[]).await.unwrap()
    }

    /// Kills the operator as a node does for want of memory, and starts it again.
    pub(crate) async fn restart(&mut self, flags: &[&str]) {
        self.operator.process.kill().unwrap();
        self.operator = self.start_another("operator", flags).await;
        self.operator.ready().await.unwrap();
    }

    pub(crate) fn investigations(&self, namespace: &str) -> Api<LeakInvestigation> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(crate) fn probes(&self) -> Api<LeakProbe> {
        Api::namespaced(self.client.clone(), SYSTEM)
    }

    /// Makes an investigation.
    pub(crate) async fn investigate(&self, namespace: &str, name: &str, spec: &Value) -> LeakInvestigation {
        let object = json!({
            "apiVersion": "leakhound.dev/v1alpha1", "kind": "LeakInvestigation",
            "metadata": { "name": name, "namespace": namespace }, "spec": spec,
        });
        let object = serde_json::from_value(object).unwrap();
        self.investigations(namespace).create(&PostParams::default(), &object).await.unwrap()
    }

    /// Waits until the status of an investigation is as it should be, and returns it.
    pub(crate) async fn until(
        &self,
        namespace: &str,
        name: &str,
        what: &str,
        test: impl Fn(&LeakInvestigationStatus) -> bool,
    ) -> LeakInvestigationStatus {
        let api = self.investigations(namespace);
        let result = until(what, PATIENCE, async || {
            let status = api.get(name).await?.status.context("no status")?;
            ensure!(test(&status), "{}", serde_yaml_ng::to_string(&status)?);
            Ok(status)
        });
        match result.await {
            Ok(status) => status,
            Err(error) => panic!("{error:#}\noperator:\n{}", self.operator.process.log_tail(30)),
        }
    }

    /// Waits until `Succeeded` has a reason.
    pub(crate) async fn until_reason(
        &self,
        namespace: &str,
        name: &str,
        reason: &str,
    ) -> LeakInvestigationStatus {
        self.until(namespace, name, &format!("{name} is {reason}"), |status| state(status) == reason).await
    }
}

/// The reason of `Succeeded`: what the STATE column shows.
pub(crate) fn state(status: &LeakInvestigationStatus) -> &str {
    find(&status.conditions, SUCCEEDED).map_or("", |condition| condition.reason.as_str())
}

/// A condition that must be there.
pub(crate) fn condition<'a>(status: &'a LeakInvestigationStatus, type_: &str) -> &'a Condition {
    find(&status.conditions, type_).unwrap_or_else(|| panic!("no condition {type_}"))
}

pub(crate) fn holds(status: &LeakInvestigationStatus, type_: &str) -> bool {
    find(&status.conditions, type_).is_some_and(|condition| condition.status == ConditionStatus::True)
}

impl Operator {
    /// Starts one with the rights of its service account, and waits until it listens.
    pub(crate) async fn start(
        server: &ApiServer,
        folder: &Scratch,
        identity: &str,
        store: &str,
        flags: &[&str],
        environment: &[(&str, String)],
    ) -> Result<Self> {
        let token = server.token(SYSTEM, "leakhound-operator", Binding::None, None).await?;
        let kubeconfig = server.kubeconfig_with("operator", &token)?;
        let [upload, reports, admin] = free_ports()?;
        let mut command = Command::new(program()?);
        command
            .env("KUBECONFIG", kubeconfig)
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .args(["--namespace", SYSTEM, "--identity", identity, "--store", store])
            .args(["--upload-listen", &format!("127.0.0.1:{upload}")])
            .args(["--report-listen", &format!("127.0.0.1:{reports}")])
            .args(["--admin-listen", &format!("127.0.0.1:{admin}")])
            .args(["--report-url", &format!("http://127.0.0.1:{reports}")])
            .args([
                "--certificate-interval=1s",
                "--sweep-interval=2s",
                "--log=debug,hyper=info,h2=info,tower=info,kube=info,rustls=info",
            ])
            .args(flags);
        if !flags.iter().any(|flag| flag.starts_with("--lease-duration")) {
            command.arg("--lease-duration=6s");
        }
        let log = folder.join(&format!("{identity}.log"));
        let process = Process::spawn(&command, &log)?;
        Ok(Self {
            process,
            upload: format!("https://localhost:{upload}"),
            reports: format!("http://127.0.0.1:{reports}"),
            admin: format!("http://127.0.0.1:{admin}"),
        })
    }

    /// Waits until it is ready, and leads.
    pub(crate) async fn ready(&self) -> Result<()> {
        until("the operator is ready", PATIENCE, async || {
            // in this order: who leads is ready only once it knows what there is
            ensure!(self.metric("leakhound_operator_leader").await? == 1.0, "it does not lead");
            let ready = reqwest::get(format!("{}/readyz", self.admin)).await?;
            let code = ready.status();
            let text = ready.text().await?;
            ensure!(code == 200, "{code} {text}\n{}", self.process.log_tail(20));
            Ok(())
        })
        .await
    }

    /// The sum of a metric over its labels.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64> {
        let text = reqwest::get(format!("{}/metrics", self.admin)).await?.text().await?;
        let of_metric = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        of_metric.map(|line| Ok(line.rsplit(' ').next().context("a value")?.parse::<f64>()?)).sum()
    }

    /// Its largest use of memory so far, in bytes.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib << 10)
    }
}

/// Builds the operator once for all tests.
fn program() -> Result<PathBuf> {
    static PROGRAM: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    if let Some(path) = PROGRAM.get() {
        return Ok(path.clone());
    }
    let path = binary("leakhound-operator")?;
    Ok(PROGRAM.get_or_init(|| path).clone())
}

/// Removes what earlier tests left, so that queues are empty and nobody else leads.
async fn clear(client: &Client) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default(); // the API server's start may have done so
    let all: Api<LeakInvestigation> = Api::all(client.clone());
    for investigation in all.list(&ListParams::default()).await? {
        let api: Api<LeakInvestigation> =
            Api::namespaced(client.clone(), &investigation.namespace().unwrap_or_default());
        gone(api.delete(&investigation.name_any(), &DeleteParams::default()).await)?;
    }
    let probes: Api<LeakProbe> = Api::namespaced(client.clone(), SYSTEM);
    probes.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    let leases: Api<k8s_openapi::api::coordination::v1::Lease> = Api::namespaced(client.clone(), SYSTEM);
    gone(leases.delete("leakhound-operator", &DeleteParams::default()).await)?;
    Ok(())
}

fn gone<T>(result: kube::Result<T>) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => bail!(error),
    }
}
