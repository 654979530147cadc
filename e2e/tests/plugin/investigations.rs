//! From `run` to the answer.

use leakhound_e2e::{ApiServer, tools::Tools};

use crate::support::{Operator, Running, admin, condition, found, leak, plugin, running, said};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_followed_to_its_answer() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("run").await.unwrap();
    let operator = Operator::of(server, &namespace);
    for (name, fail_on, status) in [("calm", &[][..], 0), ("strict", &["--fail-on", "leak"], 3)] {
        let words =
            [&["run", "cart-0", "-c", "app", "--duration", "1m", "--name", name, "-n", &namespace], fail_on];
        let run = Running::start(leak(&admin(server), &words.concat()));
        let wished = operator.wait_for(name).await.spec;
        assert_eq!(wished.target.pod_name.as_deref(), Some("cart-0"));
        assert_eq!((wished.target.container.as_deref(), &*wished.duration), (Some("app"), "1m"));
        operator.writes(name, &running()).await;
        operator.writes(name, &found()).await;
        let said = run.end().await;
        assert_eq!(said.status, Some(status), "{}", said.err);
        assert!(said.out.starts_with("Leak likely (90 % sure)\n"), "{}", said.out);
        assert!(said.out.contains("open_session  examples/seed.c:20"), "{}", said.out);
        let next = format!("To open it: kubectl leak report {name} --open -n {namespace}");
        assert!(said.out.contains(&next), "{}", said.out);
        assert!(said.err.contains(&format!("{name} created in namespace {namespace}")), "{}", said.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_result_fails_with_its_reason() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("failed").await.unwrap();
    let operator = Operator::of(server, &namespace);
    let run = Running::start(leak(&admin(server), &["run", "cart-0", "--name", "x", "-n", &namespace]));
    operator.wait_for("x").await;
    let why = "node n1 has no agent: it has a taint that the DaemonSet does not tolerate";
    let conditions = [condition("Succeeded", "False", "NoAgentOnNode", why)];
    operator.writes("x", &serde_json::json!({ "conditions": conditions })).await;
    let said = run.end().await;
    assert_eq!(said.status, Some(1));
    let last = said.err.lines().last().unwrap();
    assert_eq!(
        last,
        format!("kubectl leak: the investigation ended without a result (NoAgentOnNode): {why}")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_a_run_leaves_the_investigation() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("left").await.unwrap();
    let operator = Operator::of(server, &namespace);
    let run = Running::start(leak(&admin(server), &["run", "cart-0", "--name", "x", "-n", &namespace]));
    operator.wait_for("x").await;
    run.interrupt();
    let said = run.end().await;
    assert_eq!(said.status, Some(0), "{}", said.err);
    assert!(said.err.contains(&format!("kubectl leak stop x -n {namespace}")), "{}", said.err);
    assert!(!operator.get("x").await.spec.stop);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_deleted_meanwhile_is_an_error() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("deleted").await.unwrap();
    let operator = Operator::of(server, &namespace);
    let run = Running::start(leak(&admin(server), &["run", "cart-0", "--name", "x", "-n", &namespace]));
    operator.wait_for("x").await;
    operator.writes("x", &running()).await;
    operator.delete("x").await;
    let said = run.end().await;
    assert_eq!(said.status, Some(1));
    assert!(said.err.contains("was deleted while it was followed"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_listed_shown_and_stopped() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("list").await.unwrap();
    let operator = Operator::of(server, &namespace);
    let admin = admin(server);
    let ask = |words: &[&str]| said(leak(&admin, &[words, &["-n", &namespace]].concat()));

    let empty = ask(&["list"]);
    assert_eq!(
        empty.out,
        format!(
            "No investigations in namespace {namespace}. To begin one: kubectl leak run POD -n {namespace}\n"
        )
    );
    let made = ask(&["run", "deployment/cart", "--pods", "3", "--mode", "growth", "--no-wait"]);
    assert_eq!(made.status, Some(0), "{}", made.err);
    let name = made.out.trim();
    assert!(name.starts_with("cart-"), "{name}");
    assert_eq!(operator.get(name).await.spec.target.max_targets, 3);

    let pending = ask(&["show", name]);
    assert!(
        pending.out.starts_with("Pending: the Leakhound operator has not seen this yet"),
        "{}",
        pending.out
    );
    operator.writes(name, &found()).await;
    let list = ask(&["list"]);
    let row: Vec<&str> = list.out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], [name, "deployment/cart", "Growth"], "{}", list.out);
    assert!(list.out.contains("Completed  LeakLikely 90 %  +44Mi/h  open_session"), "{}", list.out);
    assert!(ask(&["show", name]).out.contains("examples/seed.c:20"));

    let stopped = ask(&["stop", name]);
    assert!(stopped.out.contains("is over already"), "{}", stopped.out);
    assert!(operator.get(name).await.spec.stop);
}

/// kubectl finds it by its name, and hands on the words behind `leak`.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_calls_it() {
    let Some(server) = ApiServer::shared().await else { return };
    let namespace = server.namespace("called").await.unwrap();
    let tools = Tools::build(&[Tools::Kubernetes]).unwrap();
    let mut kubectl = std::process::Command::new(tools.join("kubectl"));
    kubectl.args(["leak", "list", "-n", &namespace]).env("KUBECONFIG", admin(server));
    kubectl.env("PATH", plugin().parent().unwrap());
    let said = said(kubectl);
    assert!(said.out.contains("No investigations in namespace"), "{} {}", said.out, said.err);
}
