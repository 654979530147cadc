//! The plugin as a user runs it, and the operator as the test plays it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use kube::{
    Api,
    api::{Patch, PatchParams},
};
use leakhound_crds::LeakInvestigation;
use leakhound_e2e::{ApiServer, binary::binary, wait::until};
use serde_json::{Value, json};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program under the name by which kubectl finds it.
pub(crate) fn plugin() -> &'static Path {
    static PLUGIN: OnceLock<PathBuf> = OnceLock::new();
    PLUGIN.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("kubectl-leak");
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink(binary("leakhound").unwrap(), &path).unwrap();
        path
    })
}

/// A call of the plugin by a user.
pub(crate) fn leak(kubeconfig: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(plugin());
    command.args(words).arg("--kubeconfig").arg(kubeconfig).env_remove("KUBECONFIG").stdin(Stdio::null());
    command
}

pub(crate) fn admin(server: &ApiServer) -> PathBuf {
    server.kubeconfig("admin", Some("system:masters")).unwrap()
}

/// What the plugin said.
pub(crate) struct Said {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

pub(crate) fn said(mut command: Command) -> Said {
    command.output().unwrap().into()
}

/// A plugin that runs beside the test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    pub(crate) fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    pub(crate) async fn end(mut self) -> Said {
        let ended = async || self.0.try_wait()?.ok_or_else(|| anyhow::anyhow!("it runs"));
        if let Err(error) = until("the plugin ends", PATIENCE, ended).await {
            self.0.kill().unwrap();
            let output = self.0.wait_with_output().unwrap();
            panic!("{error:#}: {output:?}");
        }
        self.0.wait_with_output().unwrap().into()
    }
}

/// The operator's part for one namespace.
pub(crate) struct Operator(Api<LeakInvestigation>);

impl Operator {
    pub(crate) fn of(server: &ApiServer, namespace: &str) -> Self {
        Self(Api::namespaced(server.admin().unwrap(), namespace))
    }

    /// Waits until an investigation is there.
    pub(crate) async fn wait_for(&self, name: &str) -> LeakInvestigation {
        until("the investigation is there", PATIENCE, async || Ok(self.0.get(name).await?)).await.unwrap()
    }

    pub(crate) async fn get(&self, name: &str) -> LeakInvestigation {
        self.0.get(name).await.unwrap()
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.0.delete(name, &kube::api::DeleteParams::default()).await.unwrap();
    }

    /// Writes a status over what there is.
    pub(crate) async fn writes(&self, name: &str, status: &Value) {
        let patch = Patch::Merge(json!({ "status": status }));
        self.0.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }
}

pub(crate) fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({ "type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z" })
}

pub(crate) fn running() -> Value {
    json!({
        "startTime": "2026-01-01T00:00:00Z",
        "conditions": [condition("Succeeded", "Unknown", "Running", "probes are on in cart-0")],
    })
}

/// A leak at seed.c:20, with a report.
pub(crate) fn found() -> Value {
    let frames =
        json!([{ "function": "open_session", "module": "seed", "file": "/src/examples/seed.c", "line": 20 }]);
    json!({
        "conditions": [
            condition("Succeeded", "True", "Completed", "all of the time was watched"),
            condition("ReportReady", "True", "ReportStored", "see status.reports for the links"),
        ],
        "summary": { "verdict": "LeakLikely", "confidencePercent": 90, "growth": "+44Mi/h", "topFrame": "open_session" },
        "targets": [{ "podName": "cart-0", "podUID": "u-1", "container": "app", "nodeName": "n1", "reason": "Completed" }],
        "findings": [{ "rank": 1, "class": "Leak", "outstandingBytes": 128_000, "outstandingCount": 500, "frames": frames }],
        "reports": [{ "format": "HTML", "url": "http://leakhound-operator.leakhound-system.svc:8080/r/0af3/x.html" }],
    })
}
