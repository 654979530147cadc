//! Which pods a namespace must admit: the operator's asks for nothing, the agent's for what watching takes.

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Pod, PodTemplateSpec},
};
use kube::{Api, api::PostParams};
use leakhound_e2e::ApiServer;

use crate::support::{SYSTEM, outcome};

/// Asks whether a namespace with this level would take the pod.
async fn admitted(
    server: &ApiServer,
    level: &str,
    template: &PodTemplateSpec,
    account: &str,
) -> (u16, String) {
    let namespace = server.namespace(level).await.unwrap();
    let label = format!("pod-security.kubernetes.io/enforce={level}");
    server.kubectl(&["label", "namespace", &namespace, &label]).unwrap().success().unwrap();
    server.kubectl(&["-n", &namespace, "create", "serviceaccount", account]).unwrap().success().unwrap();
    let mut pod = Pod {
        metadata: template.metadata.clone().unwrap_or_default(),
        spec: template.spec.clone(),
        ..Pod::default()
    };
    pod.metadata.name = Some(account.to_owned());
    let pods: Api<Pod> = Api::namespaced(server.admin().unwrap(), &namespace);
    outcome(pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_pod_is_restricted() {
    let Some(server) = ApiServer::shared().await else { return };
    let deployments: Api<Deployment> = Api::namespaced(server.admin().unwrap(), SYSTEM);
    let template = deployments.get("leakhound-operator").await.unwrap().spec.unwrap().template;
    let (code, message) = admitted(server, "restricted", &template, "leakhound-operator").await;
    assert_eq!(code, 200, "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_pod_needs_a_privileged_namespace_and_the_refusal_says_why() {
    let Some(server) = ApiServer::shared().await else { return };
    let sets: Api<DaemonSet> = Api::namespaced(server.admin().unwrap(), SYSTEM);
    let template = sets.get("leakhound-agent").await.unwrap().spec.unwrap().template;
    let (code, message) = admitted(server, "privileged", &template, "leakhound-agent").await;
    assert_eq!(code, 200, "{message}");
    for level in ["baseline", "restricted"] {
        let (code, message) = admitted(server, level, &template, "leakhound-agent").await;
        assert_eq!(code, 403, "{level}");
        for part in ["violates PodSecurity", "hostPID=true", "\"BPF\"", "hostPath", "volume \"cgroup\""] {
            assert!(message.contains(part), "{level}: no {part} in {message}");
        }
    }
}
