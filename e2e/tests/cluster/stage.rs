//! What all tests share: a cluster with Leakhound and the images of the pods.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use leakhound_e2e::command::{output, run};
use leakhound_e2e::examples::Examples;
use leakhound_e2e::inquiry::Inquiry;
use leakhound_e2e::installation::{self, NAMESPACE};
use leakhound_e2e::leaky::{self, Leaky};
use leakhound_e2e::testbed::{Provider, Testbed};
use leakhound_e2e::tools::target_dir;
use leakhound_e2e::wait::until;
use serde_json::{Value, json};

/// Room for several pods at once on one node.
const VALUES: [&str; 6] = [
    "operator.slots.node=10",
    "operator.slots.cluster=10",
    "store.sweepInterval=10s",
    "agent.maxProbes=10",
    "agent.resources.limits.memory=4Gi",
    "operator.log.filter=debug\\,kube=info\\,hyper=info\\,rustls=info\\,h2=info\\,tower=info\\,object_store=info",
];

/// Long enough for anything that should take seconds, behind all others in the queue and on a machine that is busy.
pub(crate) const SOON: Duration = Duration::from_secs(600);

/// Why the tests cannot run here.
pub(crate) fn obstacle() -> Option<String> {
    match Provider::choose() {
        Err(error) => Some(error.to_string()),
        Ok(Provider::Kind) => None,
        Ok(Provider::Local) if !rustix::process::geteuid().is_root() => Some("not root".to_owned()),
        Ok(Provider::Local) => {
            let needed = ["etcd", "runc", "iptables", "conntrack", "ip", "nsenter", "go", "bpftool"];
            let missing: Vec<_> = needed.into_iter().filter(|program| !installed(program)).collect();
            (!missing.is_empty()).then(|| format!("missing {}: run ./setup.sh cluster", missing.join(", ")))
        }
    }
}

fn installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program]).output();
    found.is_ok_and(|found| found.status.success())
}

/// The cluster of all tests.
pub(crate) struct Stage {
    pub(crate) testbed: Testbed,
    pub(crate) client: Client,
}

impl Stage {
    /// Brings up a cluster, with nothing on it from an earlier run that was cut off.
    pub(crate) async fn open() -> Result<Self> {
        let begin = Instant::now();
        let step = |what: &str| eprintln!("{:>4} s  {what}", begin.elapsed().as_secs());
        if !is_kept() {
            Self::close().await?;
        }
        let testbed = Testbed::up(Provider::choose()?, &dir()).await?;
        step("the cluster is up");
        let examples = Examples::build()?;
        for leaky in leaky::ALL {
            testbed.load(&leaky.image(&examples)?)?;
        }
        step("images of the pods are loaded");
        installation::load_images(&testbed)?;
        step("Leakhound's images are built and loaded");
        installation::install(&testbed, &VALUES).await?;
        step("Leakhound is installed");
        let client = testbed.client().await?;
        Ok(Self { testbed, client })
    }

    /// Ends the cluster, however far it came.
    pub(crate) async fn close() -> Result<()> {
        Testbed::down(Provider::choose()?, &dir()).await
    }

    /// Installs the chart again, as it was.
    pub(crate) async fn reinstall(&self) -> Result<()> {
        installation::install(&self.testbed, &VALUES).await
    }

    /// Upgrades to another version of the chart, without waiting for it to be ready.
    pub(crate) fn upgrade_to(&self, chart: &std::path::Path) -> Result<()> {
        let mut helm = installation::upgrade_to(&self.testbed, chart, &VALUES);
        run(helm.arg("--wait=false"))
    }

    /// Makes a namespace, and in it the pod, which is running when this returns.
    pub(crate) async fn running(&self, leaky: &Leaky, namespace: &str) -> Result<()> {
        self.namespace(namespace).await?;
        leaky::start(&self.testbed, leaky, namespace)?;
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        until(&format!("pod {} runs", leaky.name), SOON, async || {
            let status = pods.get(leaky.name).await?.status.unwrap_or_default();
            let phase = status.phase.as_deref().unwrap_or_default();
            ensure!(phase == "Running", "it is {phase}: {:?}", status.container_statuses);
            Ok(())
        })
        .await
    }

    pub(crate) async fn namespace(&self, name: &str) -> Result<()> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let api = Api::<Namespace>::all(self.client.clone());
        api.patch(name, &PatchParams::apply("leakhound-e2e").force(), &Patch::Apply(&namespace)).await?;
        // The controller manager makes it a moment later, and no pod is admitted without it.
        let accounts =
            Api::<k8s_openapi::api::core::v1::ServiceAccount>::namespaced(self.client.clone(), name);
        until(&format!("namespace {name} has its service account"), SOON, async || {
            Ok(accounts.get("default").await?)
        })
        .await?;
        Ok(())
    }

    /// Begins an investigation of a pod's container `app` that is quick enough for a test; `more` adds to its wishes.
    pub(crate) async fn investigate(
        &self,
        namespace: &str,
        name: &str,
        pod: &str,
        more: Value,
    ) -> Result<Inquiry> {
        let spec = self.quick(pod, &more);
        Inquiry::begin(self.client.clone(), namespace, name, spec).await
    }

    /// The wishes of an investigation that is quick enough for a test. Its share of a core is large, since every event costs more on a
    /// machine that does much at once; its memory is small, so that many may run at once.
    pub(crate) fn quick(&self, pod: &str, more: &Value) -> Value {
        let mut spec = json!({
            "target": {"podName": pod, "container": "app"},
            "duration": "1m",
            "snapshotInterval": "5s",
            "startingDeadlineSeconds": 1200,
            "sampling": {"policy": "All"},
            "budget": {"cpuPercent": 30, "agentMemory": "64Mi"},
            "thresholds": {"minAge": "10s", "minOutstanding": "8Ki", "minGrowthPerHour": "1Mi"},
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        spec
    }

    /// Leakhound's own pod of a component: `agent` or `operator`.
    pub(crate) async fn own_pod(&self, component: &str) -> Result<Pod> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), NAMESPACE);
        let labels = ListParams::default().labels(&format!("app.kubernetes.io/component={component}"));
        let alive = |pod: &Pod| pod.metadata.deletion_timestamp.is_none();
        pods.list(&labels)
            .await?
            .items
            .into_iter()
            .find(alive)
            .with_context(|| format!("no {component} is there"))
    }

    /// The reasons of the events in a namespace.
    pub(crate) async fn events(&self, namespace: &str) -> Result<Vec<String>> {
        let events =
            Api::<Event>::namespaced(self.client.clone(), namespace).list(&ListParams::default()).await?;
        Ok(events.items.into_iter().filter_map(|event| event.reason).collect())
    }

    /// What Leakhound's own port answers, through the API server.
    pub(crate) fn raw(&self, path: &str) -> Result<String> {
        output(&mut self.testbed.kubectl(&[
            "get",
            "--raw",
            &format!("/api/v1/namespaces/{NAMESPACE}/{path}"),
        ]))
    }

    /// What one would look at when tests have failed.
    pub(crate) fn evidence(&self) -> String {
        let all = "--all-namespaces";
        let questions: [&[&str]; 7] = [
            &["get", "leakinvestigations", all, "--output=wide"],
            &["get", "leakprobes", all, "--output=wide"],
            &["get", "pods", all, "--output=wide"],
            &["get", "events", all, "--sort-by=.lastTimestamp"],
            &["logs", "--namespace", NAMESPACE, "deployment/leakhound-operator", "--tail=60"],
            &["logs", "--namespace", NAMESPACE, "daemonset/leakhound-agent", "--tail=60"],
            &["get", "leakinvestigations", all, "--output=yaml"],
        ];
        let answers = questions.map(|question| {
            let answer =
                output(&mut self.testbed.kubectl(question)).unwrap_or_else(|error| format!("{error:#}"));
            let lines: Vec<_> = answer.lines().collect();
            let tail = lines[lines.len().saturating_sub(300)..].join("\n");
            format!("--- kubectl {}\n{tail}\n", question.join(" "))
        });
        answers.concat()
    }
}

/// The cluster stays for a look, and the next run takes it as it is.
pub(crate) fn is_kept() -> bool {
    std::env::var_os("LEAKHOUND_E2E_KEEP").is_some()
}

fn dir() -> PathBuf {
    target_dir().join("e2e/test-cluster")
}
