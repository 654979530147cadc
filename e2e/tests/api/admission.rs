//! Who may investigate what: mode Kernel, denied namespaces, other people's namespaces.

use leakhound_e2e::{ApiServer, apiserver::Output, wait::until};
use serde_json::{Value, json};

use crate::support::{about_a_pod, complaint, investigation, shop, would_create};

fn in_mode(mode: &str) -> Value {
    about_a_pod(&json!({ "mode": mode }))
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_mode_is_a_right_of_its_own() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = shop(server, "kernel").await;
    let refusal = format!(
        "mode Kernel needs the right to create leakinvestigations/kernel in namespace {namespace}: ask for a binding \
         of the ClusterRole leakhound-kernel, or use mode Heap or Growth"
    );
    for (user, mode, granted) in [
        ("dev", "Heap", true),
        ("dev", "Growth", true),
        ("dev", "Kernel", false),
        ("adm", "Kernel", false),
        ("ops", "Kernel", true),
    ] {
        let object = investigation(&namespace, &in_mode(mode));
        // as a person logs in, and as an administrator tries it out
        let kubeconfig = server.kubeconfig(user, None).unwrap();
        let create = ["create", "--dry-run=server", "-f", "-"];
        let apply = ["apply", "--server-side", "--dry-run=server", "-f", "-"];
        let asked = [
            server.kubectl_with(&kubeconfig, &create, &object.to_string()).unwrap(),
            server.kubectl_with(&kubeconfig, &apply, &object.to_string()).unwrap(),
            would_create(server, &[&format!("--as={user}")], &object),
        ];
        for answer in asked {
            assert_eq!(answer.ok, granted, "{user} {mode}: {}", answer.text);
            assert!(granted || complaint(&answer) == refusal, "{user} {mode}: {}", answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_in_one_namespace_is_none_in_another() {
    let Some(server) = ApiServer::shared().await else { return };
    let (_own, other) = (shop(server, "own").await, server.namespace("other").await.unwrap());
    for user in ["dev", "ops", "adm", "viewer"] {
        let answer =
            would_create(server, &[&format!("--as={user}")], &investigation(&other, &in_mode("Heap")));
        assert!(!answer.ok, "{user}");
        let wanted = format!("User \"{user}\" cannot create resource \"leakinvestigations\"");
        assert!(answer.text.contains(&wanted), "{user}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_denied_namespace_is_investigated() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = shop(server, "denied").await;
    server.kubectl(&["label", "namespace", &namespace, "leakhound.dev/deny="]).unwrap().success().unwrap();
    let refusal =
        format!("namespace {namespace} has the label leakhound.dev/deny: nothing in it may be investigated");
    for user in [&["--as=dev"][..], &[]] {
        let answer = until("the label is seen", std::time::Duration::from_secs(30), async || {
            let answer = would_create(server, user, &investigation(&namespace, &in_mode("Growth")));
            anyhow::ensure!(!answer.ok, "granted");
            Ok(answer)
        });
        assert_eq!(complaint(&answer.await.unwrap()), refusal);
    }
    let unlabel = ["label", "namespace", &namespace, "leakhound.dev/deny-", "--as=dev"];
    let answer: Output = server.kubectl(&unlabel).unwrap();
    assert!(!answer.ok && answer.text.contains("cannot patch resource \"namespaces\""), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_systems_own_namespaces_are_denied() {
    let Some(server) = ApiServer::shared().await else { return };
    for namespace in ["kube-system", "leakhound-system"] {
        let answer = would_create(server, &[], &investigation(namespace, &in_mode("Heap")));
        let wanted = format!(
            "nothing in namespace {namespace} may be investigated: whoever installed Leakhound can change that by \
             the value admission.deniedNamespaces"
        );
        assert!(!answer.ok && complaint(&answer) == wanted, "{}", answer.text);
    }
}

/// What `docs/security.md` warns of.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_for_all_resources_includes_kernel_mode() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("tenant").await.unwrap();
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "owner", "namespace": namespace },
        "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }] });
    server.apply(&[role]).unwrap();
    let binding = ["-n", &namespace, "create", "rolebinding", "owner", "--role=owner", "--user=tenant"];
    server.kubectl(&binding).unwrap().success().unwrap();
    until("the role is in force", std::time::Duration::from_secs(30), async || {
        let answer = would_create(server, &["--as=tenant"], &investigation(&namespace, &in_mode("Kernel")));
        anyhow::ensure!(answer.ok, "{}", answer.text);
        Ok(())
    })
    .await
    .unwrap();
}
