//! Who may do what, with real tokens and a real agent.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::PostParams;
use kube::{Api, Client, Config};
use leakhound_crds::Verdict;
use leakhound_e2e::inquiry::{Inquiry, summary};
use leakhound_e2e::leaky::Leaky;
use leakhound_e2e::wait::until;
use serde_json::json;

use crate::stage::{SOON, Stage};
use crate::verdicts::found;

/// A service account of this namespace with these ClusterRoles in it, as a client with its own token.
async fn user(stage: &Stage, namespace: &str, name: &str, roles: &[&str]) -> Result<Client> {
    let create = PostParams::default();
    let accounts = Api::<ServiceAccount>::namespaced(stage.client.clone(), namespace);
    accounts.create(&create, &serde_json::from_value(json!({"metadata": {"name": name}}))?).await?;
    let bindings = Api::<RoleBinding>::namespaced(stage.client.clone(), namespace);
    for role in roles {
        let binding = json!({
            "metadata": {"name": format!("{name}-{role}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        });
        bindings.create(&create, &serde_json::from_value(binding)?).await?;
    }
    let request: TokenRequest =
        serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 600}}))?;
    let token = accounts.create_token_request(name, &create, &request).await?;
    let token = token.status.context("the API server gave no token")?.token;

    let admin = kube::config::Kubeconfig::read_from(stage.testbed.kubeconfig())?;
    let mut config =
        Config::from_custom_kubeconfig(admin, &kube::config::KubeConfigOptions::default()).await?;
    config.auth_info =
        kube::config::AuthInfo { token: Some(token.into()), ..kube::config::AuthInfo::default() };
    let client = Client::try_from(config)?;
    // a binding takes effect a moment after it is there, in the order in which they were made
    let wanted = if roles.contains(&"leakhound-kernel") { "kernel" } else { "" };
    until("the account has its rights", SOON, async || {
        let review = serde_json::from_value(json!({"spec": {"resourceAttributes": {
            "namespace": namespace, "group": "leakhound.dev", "resource": "leakinvestigations",
            "subresource": wanted, "verb": "create",
        }}}))?;
        let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
        let answer = reviews.create(&create, &review).await?;
        ensure!(answer.status.is_some_and(|status| status.allowed), "not yet");
        Ok(())
    })
    .await?;
    Ok(client)
}

/// What the API server says when it refuses.
fn refusal(answer: Result<Inquiry>) -> Result<String> {
    match answer {
        Ok(_) => bail!("it was taken"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

pub(crate) async fn a_namespace_is_a_border(stage: &Stage) -> Result<()> {
    stage.namespace("team-a").await?;
    stage.running(Leaky::named("seed")?, "team-b").await?;
    let alice = user(stage, "team-a", "alice", &["edit"]).await?;
    let spec = json!({"target": {"podName": "seed", "container": "app"}, "duration": "15s", "startingDeadlineSeconds": 5});

    let abroad = refusal(Inquiry::begin(alice.clone(), "team-b", "peek", spec.clone()).await)?;
    ensure!(abroad.contains("forbidden"), "{abroad}");
    // In her own namespace she may, and reaches only what is in it.
    let at_home = Inquiry::begin(alice.clone(), "team-a", "peek", spec).await?;
    let end = summary(&at_home.ends(SOON).await?)?;
    ensure!(end.message.contains("no pod seed in this namespace"), "{}: {}", end.reason, end.message);
    let probes = Api::<leakhound_crds::LeakProbe>::namespaced(alice, "leakhound-system");
    ensure!(probes.list(&kube::api::ListParams::default()).await.is_err(), "a user may list probes");
    Ok(())
}

pub(crate) async fn kernel_mode_needs_a_right(stage: &Stage) -> Result<()> {
    let pipes = Leaky::named("pipes")?;
    stage.running(pipes, "kernel").await?;
    let spec = stage.quick("pipes", &json!({"mode": "Kernel"}));
    let dev = user(stage, "kernel", "dev", &["edit"]).await?;
    let refused = refusal(Inquiry::begin(dev, "kernel", "refused", spec.clone()).await)?;
    ensure!(refused.contains("leakinvestigations/kernel"), "{refused}");
    let ops = user(stage, "kernel", "ops", &["edit", "leakhound-kernel"]).await?;
    let allowed = Inquiry::begin(ops, "kernel", "allowed", spec).await?;
    let status = allowed.reaches("Completed", Duration::from_secs(900)).await?;
    let verdict = status.summary.as_ref().and_then(|summary| summary.verdict);
    ensure!(verdict == Some(Verdict::LeakLikely), "{verdict:?}: {:#?}", status.findings);
    found(pipes, &status)
}

/// What the kernel says about the agent's process, not what was asked for.
pub(crate) async fn the_agent_holds_five_capabilities(stage: &Stage) -> Result<()> {
    let uid = stage.own_pod("agent").await?.metadata.uid.context("the pod has no uid")?;
    let status = process_of(&uid, "leakhound-agent")?;
    let field = |name: &str| {
        let line =
            status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"));
        line.map(|value| value.trim_start_matches(':').trim().to_owned())
    };
    // BPF 39, PERFMON 38, SYSLOG 34, SYS_PTRACE 19, DAC_READ_SEARCH 2.
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        ensure!(field(set)? == "000000c400080004", "{set} is {}", field(set)?);
    }
    ensure!(field("NoNewPrivs")? == "1", "it may gain privileges");
    ensure!(field("Seccomp")? == "2", "it has no seccomp filter");
    Ok(())
}

/// `/proc/PID/status` of a pod's process. On kind, too, its processes are processes of this machine.
fn process_of(pod: &str, name: &str) -> Result<String> {
    let parts = [format!("pod{pod}"), format!("pod{}", pod.replace('-', "_"))];
    for entry in fs::read_dir("/proc")?.flatten() {
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default(); // ended meanwhile
        let cgroup = read("cgroup");
        let status = read("status");
        let called = status.lines().next().is_some_and(|line| line.trim_end().ends_with(name));
        if called && parts.iter().any(|part| cgroup.contains(part.as_str())) {
            return Ok(status);
        }
    }
    bail!("no process {name} of pod {pod} on this machine")
}
