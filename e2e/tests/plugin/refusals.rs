//! What does not work, and what the user is told to do.

use std::{
    fs,
    path::{Path, PathBuf},
};

use leakhound_e2e::{ApiServer, wait::until};

use crate::support::{Operator, PATIENCE, admin, found, leak, said};

/// It fails with one line that says this.
fn assert_told(kubeconfig: &Path, words: &[&str], told: &[&str]) {
    let said = said(leak(kubeconfig, words));
    assert_eq!(said.status, Some(1), "{words:?}: {}", said.out);
    assert_eq!(said.err.trim_end().lines().count(), 1, "{words:?}: {}", said.err);
    for told in told {
        assert!(said.err.contains(told), "{words:?} does not say {told:?}: {}", said.err);
    }
}

/// The kubeconfig of a user who has a role in a namespace, once the API server knows that it lets them do this.
async fn allowed(server: &ApiServer, namespace: &str, user: &str, role: &str, verb: &str) -> PathBuf {
    let (role, subject) = (format!("--clusterrole={role}"), format!("--user={user}"));
    let bind = ["create", "rolebinding", user, &role, &subject, "-n", namespace];
    server.kubectl(&bind).unwrap().success().unwrap();
    let (resource, person) = ("leakinvestigations.leakhound.dev", format!("--as={user}"));
    until("the role is in force", PATIENCE, async || {
        let may = ["auth", "can-i", verb, resource, &person, "-n", namespace];
        anyhow::ensure!(server.kubectl(&may)?.ok, "not yet");
        Ok(())
    })
    .await
    .unwrap();
    server.kubeconfig(user, None).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_definitions_it_says_how_to_install_them() {
    if ApiServer::shared().await.is_none() {
        return;
    }
    let bare = ApiServer::start().await.unwrap();
    let admin = admin(&bare);
    for words in [&["list"][..], &["run", "cart-0"], &["show", "x"]] {
        assert_told(&admin, words, &["does not know LeakInvestigation", "helm install leakhound"]);
    }
    let doctor = said(leak(&admin, &["doctor"]));
    assert_eq!(doctor.status, Some(0), "{}", doctor.err);
    assert!(doctor.out.contains("MISSING  LeakInvestigation: helm install"), "{}", doctor.out);
    assert!(doctor.out.ends_with("Not ready: see MISSING above.\n"), "{}", doctor.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_which_right_it_needs() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("rights").await.unwrap();
    let nobody = server.kubeconfig("nobody", None).unwrap();
    let viewer = allowed(server, &namespace, "viewer", "view", "list").await;
    assert_told(
        &nobody,
        &["list", "-n", &namespace],
        &["cannot list", &format!("the role view in namespace {namespace}")],
    );
    assert_told(
        &viewer,
        &["run", "cart-0", "-n", &namespace],
        &["cannot create resource", &format!("the role edit in namespace {namespace}"), "leakhound-edit"],
    );
    let list = said(leak(&viewer, &["list", "-n", &namespace]));
    assert_eq!(list.status, Some(0), "{}", list.err);
    let doctor = said(leak(&viewer, &["doctor", "-n", &namespace]));
    for line in ["MISSING  create investigations", "ok       list investigations", "unknown"] {
        assert!(doctor.out.contains(line), "{line} is not in\n{}", doctor.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_of_a_wrong_wish_is_handed_on() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("wrong").await.unwrap();
    let admin = admin(server);
    let run = |words: &[&'static str]| [&["run", "cart-0", "-n", &namespace], words].concat();
    assert_told(&admin, &run(&["--duration", "5s"]), &["duration must be between 15s and 24h"]);
    assert_told(
        &admin,
        &run(&["--duration", "1m", "--interval", "50s"]),
        &["at most a third of the duration"],
    );
    let first = said(leak(&admin, &run(&["--name", "taken", "--no-wait"])));
    assert_eq!(first.status, Some(0), "{}", first.err);
    assert_told(&admin, &run(&["--name", "taken"]), &["already exists", "choose another --name"]);
    assert_told(&admin, &["show", "none", "-n", &namespace], &["not found", "kubectl leak list"]);
    // a developer may not look into the kernel
    let dev = allowed(server, &namespace, "dev", "edit", "create").await;
    assert_told(
        &dev,
        &run(&["--mode", "kernel"]),
        &["mode Kernel needs the right to create leakinvestigations/kernel"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_fetched_says_why_and_where_it_is() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("report").await.unwrap();
    let admin = admin(server);
    let made = said(leak(&admin, &["run", "cart-0", "--name", "x", "--no-wait", "-n", &namespace]));
    assert_eq!(made.status, Some(0), "{}", made.err);
    assert_told(&admin, &["report", "x", "-n", &namespace], &["it is made when the investigation ends"]);
    Operator::of(server, &namespace).writes("x", &found()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    let fetch = ["report", "x", "-n", &namespace, "-o", file.to_str().unwrap()];
    // no kubelet runs the operator's pod here
    assert_told(
        &admin,
        &fetch,
        &["http://leakhound-operator.leakhound-system.svc:8080/r/0af3/x.html", "operator"],
    );
    assert!(!file.exists(), "an empty file was left");
    assert_told(&admin, &["report", "x", "-n", &namespace, "--format", "json"], &["asked for html"]);
    let unwritable = ["report", "x", "-n", &namespace, "-o", "/does/not/exist/x"];
    assert_told(&admin, &unwritable, &["cannot write /does/not/exist/x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_not_there_is_named() {
    let Some(server) = ApiServer::shared().await else { return };
    let text = fs::read_to_string(admin(server)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    fs::write(&nowhere, text.replace(&server.url, "https://127.0.0.1:9")).unwrap();
    assert_told(&nowhere, &["list"], &["https://127.0.0.1:9/", "does not answer", "kubectl cluster-info"]);
    assert_told(&nowhere, &["list", "--context", "west"], &["west", "kubectl config get-contexts"]);
    let none = folder.path().join("none");
    assert_told(&none, &["list"], &["cannot use --kubeconfig"]);
}
