//! Everything around one agent: its node, its rights, its operator, and the probes that it is given.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use leakhound_crds::{
    Condition, Digest, LeakProbe,
    condition::{self, RECORDING_UPLOADED, SUCCEEDED},
};
use leakhound_e2e::kubepod::Pod;
use leakhound_e2e::{ApiServer, privileges, scratch::Scratch, wait};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    program::{Program, built},
    receiver::{Answer, Receiver},
};

/// Leakhound's own namespace.
pub(crate) const NAMESPACE: &str = "leakhound-system";
/// More than any step takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// The stage of one test.
pub(crate) struct Stage {
    /// The API server.
    pub(crate) server: &'static ApiServer,
    /// The operator's side of uploads.
    pub(crate) receiver: Receiver,
    /// How the agent is started.
    pub(crate) program: Program,
    /// LeakProbes, as an administrator.
    pub(crate) probes: Api<LeakProbe>,
    _scratch: Scratch,
}

impl Stage {
    /// Sets it up, the operator answering like this; `None` where that cannot be, which is a failure in CI.
    pub(crate) async fn set(answers: &[Answer]) -> Result<Option<Self>> {
        if !privileges::can_probe()? {
            return Ok(None);
        }
        let Some(server) = ApiServer::shared().await else { return Ok(None) };
        built()?; // before any target runs for a time that is counted
        let node = format!("node-{}", &Uuid::new_v4().simple().to_string()[..8]);
        let token = server.agent_token(NAMESPACE, &node).await?;
        let kubeconfig = server.kubeconfig_with(&node, &token)?;
        let receiver = Receiver::start(answers).await?;
        let scratch = Scratch::new("leakhound-agent-")?;
        fs::write(scratch.join("ca.crt"), &receiver.ca)?;
        fs::write(scratch.join("token"), "upload-token\n")?;
        let program = Program {
            folder: PathBuf::from(scratch.path()),
            node,
            kubeconfig,
            operator: receiver.url.clone(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
        };
        let probes = Api::namespaced(server.admin()?, NAMESPACE);
        Ok(Some(Self { server, receiver, program, probes, _scratch: scratch }))
    }

    /// Orders a probe of a container for so many seconds, with changes to its spec merged in.
    pub(crate) async fn order(
        &self,
        pod: &Pod,
        container_id: &str,
        seconds: u64,
        changes: Value,
    ) -> Result<String> {
        let name = format!("probe-{}", Uuid::new_v4().simple());
        let mut object = json!({
            "apiVersion": "leakhound.dev/v1alpha1",
            "kind": "LeakProbe",
            "metadata": { "name": name },
            "spec": {
                "nodeName": self.program.node,
                "investigation": { "namespace": "shop", "name": "checkout", "uid": Uuid::new_v4().to_string() },
                "podUID": pod.uid,
                "containerID": container_id,
                "containerName": "seed",
                "mode": "Heap",
                "deadlineTime": in_seconds(300)?,
                "profile": {
                    "duration": format!("{seconds}s"),
                    "snapshotInterval": "1s",
                    "sampling": { "policy": "All" },
                    "budget": { "agentMemory": "64Mi", "cpuPercent": 100 },
                },
            },
        });
        merge(&mut object["spec"], changes);
        self.probes.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        Ok(name)
    }

    /// Changes a probe's spec, as the operator does.
    pub(crate) async fn change(&self, name: &str, spec: Value) -> Result<()> {
        let patch = json!({ "spec": spec });
        self.probes.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// Deletes a probe.
    pub(crate) async fn delete(&self, name: &str) -> Result<()> {
        self.probes.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until a probe has come to an end, and the recording's fate is known.
    pub(crate) async fn ended(&self, name: &str) -> Result<Seen> {
        self.until(name, "the probe to end", |seen| {
            seen.succeeded.status != condition::ConditionStatus::Unknown
        })
        .await
    }

    /// Waits until a probe is being watched, with so many snapshots.
    pub(crate) async fn running(&self, name: &str, snapshots: i32) -> Result<Seen> {
        self.until(name, "the probe to run", |seen| {
            let enough = seen.digest.as_ref().is_some_and(|digest| digest.snapshot_count >= snapshots);
            seen.succeeded.reason != "Running" && seen.succeeded.reason != "Pending" || enough
        })
        .await
        .and_then(|seen| match seen.succeeded.reason.as_str() {
            "Running" => Ok(seen),
            _ => bail!("{:?}", seen.succeeded),
        })
    }

    /// Waits until what is seen of a probe is so.
    pub(crate) async fn until(&self, name: &str, what: &str, so: impl Fn(&Seen) -> bool) -> Result<Seen> {
        let log = || fs::read_to_string(self.program.folder.join("agent.log")).unwrap_or_default();
        wait::until(what, LONG, async || {
            let seen = Seen::of(self.probes.get(name).await?)?;
            ensure!(so(&seen), "{:?}", seen.succeeded);
            Ok(seen)
        })
        .await
        .with_context(log)
    }
}

/// What the API says about a probe.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// All of it.
    pub(crate) probe: LeakProbe,
    /// Its summary.
    pub(crate) succeeded: Condition,
    /// What became of its recording, when that is known.
    pub(crate) uploaded: Option<Condition>,
    /// The agent's numbers, when there are any.
    pub(crate) digest: Option<Digest>,
}

impl Seen {
    fn of(probe: LeakProbe) -> Result<Self> {
        let status =
            probe.status.clone().with_context(|| format!("{} has no status yet", probe.name_any()))?;
        let succeeded = condition::find(&status.conditions, SUCCEEDED).cloned().context("no summary yet")?;
        let uploaded = condition::find(&status.conditions, RECORDING_UPLOADED).cloned();
        let digest = status.digest.as_deref().map(Digest::parse).transpose()?;
        Ok(Self { probe, succeeded, uploaded, digest })
    }

    /// Seconds watched.
    pub(crate) fn coverage(&self) -> i64 {
        self.probe.status.as_ref().and_then(|status| status.coverage_seconds).unwrap_or(0)
    }

    /// The line of the innermost frame of each finding that lies in a source file.
    pub(crate) fn lines(&self, file: &str) -> Vec<i32> {
        let findings = self.digest.iter().flat_map(|digest| &digest.findings);
        let frames = findings.filter_map(|finding| finding.frames.first());
        let mut lines: Vec<i32> =
            frames.filter(|frame| frame.file.ends_with(file)).filter_map(|frame| frame.line).collect();
        lines.sort_unstable();
        lines
    }
}

/// A time to come, as the API writes it.
pub(crate) fn in_seconds(seconds: u64) -> Result<String> {
    let at = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_secs(seconds);
    let at = k8s_openapi::jiff::Timestamp::from_second(i64::try_from(at.as_secs())?)?;
    Ok(at.to_string())
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, value) => *into = value,
    }
}
