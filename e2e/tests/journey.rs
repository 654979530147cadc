//! The whole way that a user goes, with every part of it real but kubelet and scheduler: API server, operator and agent, and
//! `examples/seed` in a cgroup as a kubelet makes it. Run it with `--nocapture` to see what a user sees.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use leakhound_e2e::{
    ApiServer,
    apiserver::Binding,
    binary,
    kubepod::{Pod, seed},
    ports::free_ports,
    privileges,
    process::Process,
    scratch::Scratch,
    wait,
};
use serde_json::{Value, json};

const SYSTEM: &str = "leakhound-system";
const NODE: &str = "node1";
const LONG: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn from_kubectl_apply_to_the_lines_that_leak_and_a_report() -> Result<()> {
    if !privileges::can_probe()? {
        return Ok(());
    }
    let Some(server) = ApiServer::shared().await else { return Ok(()) };
    let scratch = Scratch::new("leakhound-journey-")?;
    let token = server.agent_token(SYSTEM, NODE).await?;
    let operator = Operator::start(server, &scratch).await?;
    let agent = start_agent(server, &scratch, &operator, &token).await?;
    let shop = server.namespace("shop").await?;
    let (mut container, pod) = leaking_pod(server, &shop).await?;

    let apply = kubectl(server, &shop, &["apply", "-f", "-"], &investigation().to_string())?;
    assert!(apply.contains("created"), "{apply}");
    let seen =
        follow(server, &shop).await.with_context(|| format!("{}\n{}", operator.log(), agent.log_tail(20)))?;
    assert!(seen.live.len() >= 2 && seen.live.is_sorted(), "the numbers did not grow: {:?}", seen.live);
    assert!(seen.states.contains("Running"), "{:?}", seen.states);
    kubectl(server, &shop, &["wait", "--for=condition=Succeeded", "leak/checkout", "--timeout=60s"], "")?;

    let done = json_of(server, &shop)?;
    let status = &done["status"];
    assert_eq!(condition(status, "Succeeded")["reason"], "Completed", "{status:#}");
    assert_eq!(condition(status, "LeakDetected")["status"], "True", "{status:#}");
    assert_eq!(status["summary"]["verdict"], "LeakLikely", "{status:#}");
    assert_eq!(lines_of(status), BTreeSet::from([13, 20, 30]), "{status:#}");
    assert_eq!(status["targets"][0]["podName"], pod.as_str());
    let described = kubectl(server, &shop, &["describe", "leak", "checkout"], "")?;
    assert!(described.contains("open_session"), "{described}");
    assert!(!described.contains("serve_request"), "what is given back is no finding:\n{described}");

    let reasons = wait::until("the events tell the story", LONG, async || {
        let reasons = events(server, &shop)?;
        for wanted in ["TargetsResolved", "ProbesAttached", "ProbesDetached", "LeakFound"] {
            ensure!(reasons.contains(wanted), "no {wanted} in {reasons:?}");
        }
        Ok(reasons)
    })
    .await?;
    eprintln!("events: {reasons:?}");
    let page = read(&report(status, "HTML")?).await?;
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{page:.300}");
    let analysis: Value = serde_json::from_str(&read(&report(status, "JSON")?).await?)?;
    assert_eq!(analysis["verdict"]["name"], "LeakLikely", "{analysis:#}");
    assert_eq!(analysis["findings"][0]["frames"][0]["function"], "open_session", "{analysis:#}");

    // nobody noticed, and nothing is left
    assert!(container.is_alive()?);
    assert_eq!(probes_of(agent.id())?, 0);
    Ok(())
}

/// The operator as it runs in a pod, with the rights of its own account.
struct Operator {
    process: Process,
    upload: String,
}

impl Operator {
    async fn start(server: &ApiServer, scratch: &Scratch) -> Result<Self> {
        let token = server.token(SYSTEM, "leakhound-operator", Binding::None, None).await?;
        let [upload, report, admin] = free_ports()?;
        let at = |port: u16| format!("127.0.0.1:{port}");
        let mut command = Command::new(binary("leakhound-operator")?);
        command.args(["--namespace", SYSTEM, "--upload-listen", &at(upload), "--report-listen", &at(report)]);
        command.args(["--admin-listen", &at(admin), "--report-url", &format!("http://{}", at(report))]);
        command.arg("--store").arg(format!("file://{}", scratch.join("store").display()));
        command.env("KUBECONFIG", server.kubeconfig_with("operator", &token)?);
        fs::create_dir(scratch.join("store"))?;
        let process = Process::spawn(&command, &scratch.join("operator.log"))?;
        wait::until("the operator is ready", LONG, async || {
            read(&format!("http://{}/readyz", at(admin))).await.map(drop)
        })
        .await
        .with_context(|| process.log_tail(20))?;
        Ok(Self { process, upload: format!("https://localhost:{upload}") })
    }

    fn log(&self) -> String {
        self.process.log_tail(20)
    }
}

/// The agent as it runs in a pod: with that pod's two tokens, and the authority that the operator has published.
async fn start_agent(
    server: &ApiServer,
    scratch: &Scratch,
    operator: &Operator,
    token: &str,
) -> Result<Process> {
    let maps: Api<ConfigMap> = Api::namespaced(server.admin()?, SYSTEM);
    let authority = wait::until("the operator has published its authority", LONG, async || {
        let data = maps.get("leakhound-ca").await?.data.unwrap_or_default();
        data.get("ca.crt").cloned().context("no ca.crt yet")
    })
    .await
    .with_context(|| operator.log())?;
    fs::write(scratch.join("ca.crt"), authority)?;
    let pod = format!("leakhound-agent-{NODE}");
    let upload = server.token(SYSTEM, "leakhound-agent", Binding::Pod(&pod), Some("leakhound")).await?;
    fs::write(scratch.join("token"), upload)?;
    let [admin] = free_ports()?;
    let mut command = Command::new(binary("leakhound-agent")?);
    command.args(["--node-name", NODE, "--namespace", SYSTEM, "--pod-name", &pod]);
    command.args(["--operator-url", &operator.upload, "--admin-listen", &format!("127.0.0.1:{admin}")]);
    command.arg("--ca-file").arg(scratch.join("ca.crt")).arg("--token-file").arg(scratch.join("token"));
    command.arg("--spool").arg(scratch.join("spool"));
    command.env("KUBECONFIG", server.kubeconfig_with("agent", token)?);
    Process::spawn(&command, &scratch.join("agent.log"))
}

/// A pod on the node whose container runs `examples/seed`; what the kubelet would do, the test does.
async fn leaking_pod(server: &ApiServer, namespace: &str) -> Result<(Pod, String)> {
    let name = "checkout-7c9f-x2k";
    server.apply(&[json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace },
        "spec": { "nodeName": NODE, "containers": [{ "name": "checkout", "image": "checkout:1" }] } })])?;
    let mut pod = Pod::of(&server.pod_uid(namespace, name).await?)?;
    let id = pod.run(&seed()?, &["100", "300"])?;
    let started = k8s_openapi::jiff::Timestamp::now().to_string();
    let status = json!({ "status": {
        "phase": "Running",
        "conditions": [{ "type": "Ready", "status": "True" }],
        "containerStatuses": [{
            "name": "checkout", "containerID": id, "image": "checkout:1", "imageID": "checkout@sha256:1",
            "ready": true, "started": true, "restartCount": 0,
            "state": { "running": { "startedAt": started } },
        }],
    } });
    let patch = ["patch", "pod", name, "--subresource=status", "--type=merge", "-p", &status.to_string()];
    kubectl(server, namespace, &patch, "")?;
    Ok((pod, name.to_owned()))
}

fn investigation() -> Value {
    json!({
        "apiVersion": "leakhound.dev/v1alpha1",
        "kind": "LeakInvestigation",
        "metadata": { "name": "checkout" },
        "spec": {
            "target": { "podName": "checkout-7c9f-x2k" },
            "duration": "45s",
            "snapshotInterval": "5s",
            "report": { "formats": ["HTML", "JSON"] },
            "thresholds": { "minAge": "5s", "minOutstanding": "1Ki", "minGrowthPerHour": "1Ki" },
        },
    })
}

/// What somebody sees who looks again and again.
#[derive(Debug, Default)]
struct Seen {
    states: BTreeSet<String>,
    live: Vec<i64>,
}

/// Looks at what `kubectl get` prints until it is over.
#[allow(clippy::print_stderr, reason = "what a user sees is worth seeing")]
async fn follow(server: &ApiServer, namespace: &str) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut before = String::new();
    wait::until("the investigation is over", Duration::from_secs(240), async || {
        let line = kubectl(server, namespace, &["get", "leakinvestigations", "--no-headers"], "")?;
        if line != before {
            eprintln!("{line}");
            before.clone_from(&line);
        }
        let status = json_of(server, namespace)?["status"].clone();
        if let Some(reason) = condition(&status, "Succeeded")["reason"].as_str() {
            seen.states.insert(reason.to_owned());
        }
        let live = status["summary"]["outstandingBytes"].as_i64().filter(|live| *live > 0);
        seen.live.extend(live.filter(|live| seen.live.last() != Some(live)));
        match condition(&status, "Succeeded")["status"].as_str() {
            Some("True") => Ok(()),
            other => bail!("Succeeded is {other:?}: {status:#}"),
        }
    })
    .await?;
    Ok(seen)
}

fn condition(status: &Value, kind: &str) -> Value {
    let all = status["conditions"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|condition| condition["type"] == kind).unwrap_or(Value::Null)
}

/// The link to the report of a format.
fn report(status: &Value, format: &str) -> Result<String> {
    let all = status["reports"].as_array().context("reports")?;
    let one = all.iter().find(|report| report["format"] == format);
    Ok(one
        .and_then(|report| report["url"].as_str())
        .with_context(|| format!("no {format} in {all:?}"))?
        .to_owned())
}

/// Lines of `seed.c` in which the findings allocate.
fn lines_of(status: &Value) -> BTreeSet<i64> {
    let findings = status["findings"].as_array().cloned().unwrap_or_default();
    let inner = findings.iter().map(|finding| finding["frames"][0].clone());
    let ours = inner.filter(|frame| frame["file"].as_str().is_some_and(|file| file.ends_with("seed.c")));
    ours.filter_map(|frame| frame["line"].as_i64()).collect()
}

fn json_of(server: &ApiServer, namespace: &str) -> Result<Value> {
    Ok(serde_json::from_str(&kubectl(server, namespace, &["get", "leak", "checkout", "-o", "json"], "")?)?)
}

fn events(server: &ApiServer, namespace: &str) -> Result<BTreeSet<String>> {
    let list: Value =
        serde_json::from_str(&kubectl(server, namespace, &["get", "events", "-o", "json"], "")?)?;
    let all = list["items"].as_array().cloned().unwrap_or_default();
    Ok(all.iter().filter_map(|event| event["reason"].as_str().map(str::to_owned)).collect())
}

fn kubectl(server: &ApiServer, namespace: &str, arguments: &[&str], input: &str) -> Result<String> {
    let admin: PathBuf = server.kubeconfig("admin", Some("system:masters"))?;
    let all: Vec<&str> = ["-n", namespace].into_iter().chain(arguments.iter().copied()).collect();
    server.kubectl_with(&admin, &all, input)?.success()
}

/// Reads a page over plain HTTP.
async fn read(url: &str) -> Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let rest = url.strip_prefix("http://").context("a link over plain HTTP")?;
    let (host, path) = rest.split_once('/').context("a path")?;
    let mut stream = tokio::net::TcpStream::connect(host).await?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").context("an end of header")?;
    ensure!(head.split(' ').nth(1) == Some("200"), "{url}: {answer}");
    Ok(body.to_owned())
}

/// How many probes a process holds in the kernel.
fn probes_of(pid: u32) -> Result<usize> {
    let files =
        fs::read_dir(format!("/proc/{pid}/fd"))?.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    Ok(files.filter(|file| file.to_string_lossy().contains("bpf_link")).count())
}
