//! What becomes of a probe when the agent or the API server is started again.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::rbac::v1::Role;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use leakhound_crds::ConditionStatus;
use leakhound_e2e::ApiServer;
use leakhound_e2e::kubepod::{Pod, seed};
use serde_json::json;

use super::{receiver::Answer, stage::Stage};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_killed_goes_on_for_the_time_that_is_left() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let mut agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 24, json!({})).await?;
    let before = stage.running(&name, 8).await?;
    agent.process.kill()?;
    assert!(pod.is_alive()?);

    let agent = stage.program.start()?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "Completed", "{:?}", ended.succeeded);
    let run = |seen: &super::stage::Seen| {
        seen.probe.status.as_ref().and_then(|status| status.agent_boot_id.clone())
    };
    assert!(run(&before).is_some() && run(&before) != run(&ended));
    // the longer of the two stretches stands for the whole, and both count as watched
    assert!(ended.coverage() >= 23, "{}", ended.coverage());
    let digest = ended.digest.clone().context("a digest")?;
    assert!((8..24).contains(&digest.snapshot_count), "{}", digest.snapshot_count);
    assert_eq!(ended.lines("seed.c"), [13, 20, 30]);
    assert_eq!(stage.receiver.uploads().len(), 1);
    agent.wait_for_probes(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_told_although_the_spool_went_with_the_agents_pod() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let mut agent = stage.program.start()?;
    let later = stage.order(&pod, &container, 45, json!({})).await?;
    let earlier = stage.order(&pod, &container, 19, json!({})).await?;
    let before = stage.running(&later, 3).await?;
    let told = stage.running(&earlier, 8).await?;
    agent.process.kill()?;
    std::fs::remove_dir_all(stage.program.folder.join("spool"))?;

    let _agent = stage.program.start()?;
    let started =
        |seen: &super::stage::Seen| seen.probe.status.as_ref().and_then(|status| status.start_time.clone());
    // What came after the gap is longer, and has a recording.
    let ended = stage.ended(&later).await?;
    assert_eq!(ended.succeeded.reason, "Completed", "{:?}", ended.succeeded);
    assert!(ended.succeeded.message.contains("in 2 stretches"), "{:?}", ended.succeeded);
    assert!(ended.coverage() >= 44, "{}", ended.coverage());
    assert_eq!(started(&ended), started(&before));
    assert_eq!(ended.digest.context("a digest")?.epochs, 2);
    assert_eq!(ended.uploaded.context("its recording")?.status, ConditionStatus::True);
    // What came before it is longer, and its numbers are all that is left.
    let ended = stage.ended(&earlier).await?;
    let (digest, known) = (ended.digest.clone().context("a digest")?, told.digest.context("a digest")?);
    assert_eq!(digest.epochs, 2);
    assert!(
        digest.snapshot_count >= known.snapshot_count,
        "{} {}",
        digest.snapshot_count,
        known.snapshot_count
    );
    let uploaded = ended.uploaded.context("what became of its recording")?;
    assert_eq!((uploaded.status, uploaded.reason.as_str()), (ConditionStatus::False, "NotKept"));
    assert!(uploaded.message.contains("agent.spoolHostPath"), "{uploaded:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_killed_finishes_or_fails_where_that_is_wanted() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let mut agent = stage.program.start()?;
    let policy = |policy: &str| json!({ "profile": { "onAgentRestart": policy } });
    let finish = stage.order(&pod, &container, 100, policy("Finish")).await?;
    let fail = stage.order(&pod, &container, 100, policy("Fail")).await?;
    stage.running(&finish, 2).await?;
    stage.running(&fail, 2).await?;
    agent.process.kill()?;

    let agent = stage.program.start()?;
    let finished = stage.ended(&finish).await?;
    assert_eq!(
        (finished.succeeded.status, finished.succeeded.reason.as_str()),
        (ConditionStatus::True, "StoppedEarly")
    );
    assert!(finished.succeeded.message.contains("onAgentRestart"), "{:?}", finished.succeeded);
    assert!(finished.digest.context("what was seen before")?.live_bytes > 0);
    assert_eq!(finished.uploaded.context("its recording")?.status, ConditionStatus::True);
    let failed = stage.ended(&fail).await?;
    assert_eq!(
        (failed.succeeded.status, failed.succeeded.reason.as_str()),
        (ConditionStatus::False, "AgentError")
    );
    assert_eq!(agent.probes()?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_told_to_end_takes_its_probes_off_and_leaves_the_rest_to_the_next() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let mut agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 20, json!({})).await?;
    stage.running(&name, 2).await?;
    let status = agent.process.terminate(Duration::from_secs(35))?;
    assert!(status.success(), "{status}:\n{}", agent.process.log_tail(20));
    let left = stage.until(&name, "the probe", |_| true).await?;
    assert_eq!(left.succeeded.status, ConditionStatus::Unknown, "{:?}", left.succeeded);
    assert!(left.succeeded.message.contains("the agent on this node ended"), "{:?}", left.succeeded);
    assert!(pod.is_alive()?);

    let _next = stage.program.start()?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "Completed");
    assert!((18..30).contains(&ended.coverage()), "{}", ended.coverage());
    Ok(())
}

/// Gives a stage an API server of its own, which may be disturbed: others need theirs.
async fn apart(stage: &mut Stage) -> Result<&'static ApiServer> {
    let server: &'static ApiServer = Box::leak(Box::new(ApiServer::start().await?));
    server.install("leakhound-system", &json!({})).await?;
    let token = server.agent_token(super::stage::NAMESPACE, &stage.program.node).await?;
    stage.program.kubeconfig = server.kubeconfig_with(&stage.program.node, &token)?;
    stage.probes = Api::namespaced(server.admin()?, super::stage::NAMESPACE);
    stage.server = server;
    Ok(server)
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_goes_on_while_the_api_server_is_away() -> Result<()> {
    let Some(mut stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let server = apart(&mut stage).await?;
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "0"])?;
    let agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 12, json!({})).await?;
    stage.running(&name, 1).await?;
    server.stop()?;
    agent.wait_for_probes(false).await?; // its time is over
    assert_eq!(agent.ask("/healthz").await?.0, 200, "it must not be restarted for that");
    server.resume().await?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "Completed");
    assert!(ended.coverage() >= 12, "{}", ended.coverage());
    assert_eq!(ended.lines("seed.c"), [13, 20, 30]);
    // and new orders are seen again
    let next = stage.order(&pod, &container, 2, json!({})).await?;
    assert_eq!(stage.ended(&next).await?.succeeded.reason, "Completed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_not_begun_again_while_the_watch_lags_behind() -> Result<()> {
    let Some(mut stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let server = apart(&mut stage).await?;
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "0"])?;
    let agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 20, json!({})).await?;
    stage.running(&name, 1).await?;
    // The watch breaks, and for now there is no other; statuses can be written.
    let roles: Api<Role> = Api::namespaced(server.admin()?, super::stage::NAMESPACE);
    let rules = |role: &Role| Patch::Merge(json!({ "rules": role.rules }));
    let role = roles.get("leakhound-agent").await?;
    let mut blind = role.clone();
    for rule in blind.rules.iter_mut().flatten() {
        if rule.resources.iter().flatten().any(|resource| resource == "leakprobes") {
            rule.verbs.retain(|verb| verb == "get");
        }
    }
    assert_ne!(blind, role);
    roles.patch("leakhound-agent", &PatchParams::default(), &rules(&blind)).await?;
    server.stop()?;
    server.resume().await?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "Completed");
    leakhound_e2e::wait::until("the agent to know that it is over", super::stage::LONG, async || {
        let (_, metrics) = agent.ask("/metrics").await?;
        anyhow::ensure!(
            metrics.contains("leakhound_agent_probes_ended_total{reason=\"Completed\"} 1"),
            "{metrics}"
        );
        Ok(())
    })
    .await?;
    roles.patch("leakhound-agent", &PatchParams::default(), &rules(&role)).await?;
    let next = stage.order(&pod, &container, 2, json!({})).await?;
    let next = stage.ended(&next).await?;
    let log = agent.process.log();
    let begun = log.lines().filter(|line| line.contains("begun") && line.contains(&name)).count();
    assert_eq!(begun, 1, "{log}");
    let still = stage.until(&name, "the probe", |_| true).await?;
    assert_eq!((still.succeeded.reason.as_str(), still.probe.status), ("Completed", ended.probe.status));
    assert_eq!(next.succeeded.reason, "Completed");
    Ok(())
}
