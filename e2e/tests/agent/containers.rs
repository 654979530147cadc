//! What becomes of a probe when its container ends.

use anyhow::{Context, Result};
use leakhound_crds::ConditionStatus;
use leakhound_e2e::kubepod::{Pod, seed};
use serde_json::json;

use super::{receiver::Answer, stage::Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_deleted_ends_it_with_what_was_seen() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 100, json!({})).await?;
    stage.running(&name, 1).await?;
    drop(pod);
    let ended = stage.ended(&name).await?;
    assert_eq!(
        (ended.succeeded.status, ended.succeeded.reason.as_str()),
        (ConditionStatus::True, "TargetGone")
    );
    assert!(ended.digest.context("a digest")?.live_bytes > 0);
    assert_eq!(stage.receiver.uploads().len(), 1);
    agent.wait_for_probes(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_was_restarted_is_followed_under_its_new_id() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 25, json!({})).await?;
    stage.running(&name, 1).await?;
    pod.end_container()?;
    let waiting = stage
        .until(&name, "the agent to wait for the next container", |seen| {
            seen.succeeded.message.contains("waiting for the container")
        })
        .await?;
    assert_eq!(waiting.succeeded.status, ConditionStatus::Unknown);
    agent.wait_for_probes(false).await?;

    // the next one ends before anybody could look at it
    let failing = pod.run(&seed()?, &["100", "120"])?;
    pod.end_container()?;
    stage.change(&name, json!({ "containerID": failing })).await?;
    stage
        .until(&name, "the agent to wait for the one after it", |seen| {
            let status = seen.probe.status.as_ref();
            status.is_some_and(|status| status.observed_generation == Some(2))
                && seen.succeeded.status == ConditionStatus::Unknown
                && seen.succeeded.message.contains("waiting for the container")
        })
        .await?;

    let next = pod.run(&seed()?, &["100", "120"])?;
    stage.change(&name, json!({ "containerID": next })).await?;
    agent.wait_for_probes(true).await?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "Completed");
    let status = ended.probe.status.as_ref().context("a status")?;
    assert_eq!(status.observed_generation, Some(3));
    assert!((24..40).contains(&ended.coverage()), "both containers together: {}", ended.coverage());
    assert_eq!(ended.lines("seed.c"), [13, 20, 30]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_the_end_where_it_is_not_to_be_followed() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let _agent = stage.program.start()?;
    let changes = json!({ "profile": { "onContainerRestart": "Finish" } });
    let name = stage.order(&pod, &container, 100, changes).await?;
    stage.running(&name, 1).await?;
    pod.end_container()?;
    let ended = stage.ended(&name).await?;
    assert_eq!(
        (ended.succeeded.status, ended.succeeded.reason.as_str()),
        (ConditionStatus::True, "TargetGone")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernels_killing_for_want_of_memory_is_told() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let agent = stage.program.start()?;
    agent.ready().await?;
    let mut pod = Pod::create()?;
    // loses some 2 MiB a second, and may have 60
    let container = pod.run_limited(&seed()?, &["5000", "120"], Some(60 << 20))?;
    let changes =
        json!({ "profile": { "onContainerRestart": "Finish", "sampling": { "policy": "Adaptive" } } });
    let name = stage.order(&pod, &container, 100, changes).await?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "TargetGone", "{:?}", ended.succeeded);
    assert!(ended.succeeded.message.contains("want of memory (OOM)"), "{:?}", ended.succeeded);
    let memory = ended.digest.context("a digest")?.memory;
    assert_eq!((memory.oom_kills, memory.limit_bytes), (Some(1), Some(60 << 20)));
    Ok(())
}
