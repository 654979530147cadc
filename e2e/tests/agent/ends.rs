//! Every way in which watching can end before its time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use leakhound_crds::ConditionStatus;
use leakhound_e2e::kubepod::{Pod, seed};
use serde_json::json;

use super::{
    receiver::Answer,
    stage::{LONG, Stage, in_seconds},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_probe_leaves_nothing_behind() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 100, json!({})).await?;
    stage.running(&name, 2).await?;
    agent.wait_for_probes(true).await?;

    stage.delete(&name).await?;
    let deleted = Instant::now();
    agent.wait_for_probes(false).await?;
    assert!(deleted.elapsed() < Duration::from_secs(60), "the probes stayed on for {:?}", deleted.elapsed());
    assert!(pod.is_alive()?);
    leakhound_e2e::wait::until("the spool to be empty", LONG, async || {
        ensure!(stage.program.spooled().is_empty(), "{:?}", stage.program.spooled());
        Ok(())
    })
    .await?;
    assert!(stage.receiver.uploads().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_it_with_what_was_seen() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 100, json!({})).await?;
    stage.running(&name, 1).await?;
    stage.change(&name, json!({ "desired": "Stop" })).await?;
    let ended = stage.ended(&name).await?;
    assert_eq!(
        (ended.succeeded.status, ended.succeeded.reason.as_str()),
        (ConditionStatus::True, "StoppedEarly")
    );
    assert_eq!(stage.receiver.uploads().len(), 1);
    assert!(ended.digest.context("a digest")?.live_bytes > 0);
    agent.wait_for_probes(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_holds_though_nobody_is_there_to_say_so() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(503)]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let agent = stage.program.start()?;
    agent.ready().await?;
    let name = stage.order(&pod, &container, 100, json!({ "deadlineTime": in_seconds(20)? })).await?;
    agent.wait_for_probes(true).await?;
    agent.wait_for_probes(false).await?; // the operator answers nothing but 503
    let ended = stage.ended(&name).await?;
    assert_eq!(
        (ended.succeeded.status, ended.succeeded.reason.as_str()),
        (ConditionStatus::False, "DeadlineExceeded")
    );
    let uploaded = ended.uploaded.context("what became of the recording")?;
    assert_eq!((uploaded.status, uploaded.reason.as_str()), (ConditionStatus::False, "Retrying"));
    assert!(ended.digest.context("the digest stands")?.snapshot_count > 0);
    assert!(pod.is_alive()?);

    stage.receiver.answer(&[Answer::Status(201)]);
    let stored = stage
        .until(&name, "the recording to be stored", |seen| {
            seen.uploaded.as_ref().is_some_and(|uploaded| uploaded.status == ConditionStatus::True)
        })
        .await?;
    assert_eq!(stored.succeeded.reason, "DeadlineExceeded");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_beyond_the_places_of_a_node_wait_and_come_to_their_turn() -> Result<()> {
    let Some(mut stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    stage.program.arguments = vec!["--max-probes".into(), "1".into()];
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let _agent = stage.program.start()?;
    let first = stage.order(&pod, &container, 100, json!({})).await?;
    stage.running(&first, 1).await?;
    let second = stage.order(&pod, &container, 3, json!({})).await?;
    let waiting =
        stage.until(&second, "the second to wait", |seen| seen.succeeded.message.contains("waiting")).await?;
    assert_eq!(waiting.succeeded.reason, "Pending");
    stage.change(&first, json!({ "desired": "Stop" })).await?;
    assert_eq!(stage.ended(&second).await?.succeeded.reason, "Completed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_that_costs_more_than_its_budget_ends_or_becomes_coarser() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    // as fast as it can: some million calls a second
    let container = pod.run(&seed()?, &["100000", "120"])?;
    let agent = stage.program.start()?;
    let all = json!({ "profile": { "budget": { "cpuPercent": 1 } } });
    let name = stage.order(&pod, &container, 100, all).await?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "StoppedEarly", "{:?}", ended.succeeded);
    assert!(ended.succeeded.message.contains("budget.cpuPercent"), "{:?}", ended.succeeded);
    let digest = ended.digest.context("a digest")?;
    assert!(digest.overhead.cpu_permille > 10, "{digest:?} {:?}", ended.succeeded);

    let adaptive =
        json!({ "profile": { "budget": { "cpuPercent": 2 }, "sampling": { "policy": "Adaptive" } } });
    let name = stage.order(&pod, &container, 12, adaptive).await?;
    let ended = stage.ended(&name).await?;
    let digest = ended.digest.context("a digest")?;
    let gave_up = digest.overhead.bytes_per_sample.is_some()
        || digest.attach_method == "page tracepoints"
        || ended.succeeded.reason == "StoppedEarly";
    let cost = digest.overhead.cpu_permille;
    assert!(
        gave_up || cost <= 20,
        "a sample, pages alone, nothing at all, or a program that got too little of the processors: {digest:?} {:?}",
        ended.succeeded
    );
    // whatever is left keeps to the budget too: two hundredths, and one of the twelve seconds
    assert!(cost <= 20 + 1000 / 12, "{digest:?}");
    agent.wait_for_probes(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn more_events_than_the_budget_allows_take_the_probes_off() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let agent = stage.program.start()?;
    agent.ready().await?;
    let mut pod = Pod::create()?;
    // at least 10,000 calls a second
    let container = pod.run(&seed()?, &["2000", "0"])?;
    let budget = json!({ "eventsPerSecond": 1000, "cpuPercent": 100 });
    let name = stage.order(&pod, &container, 100, json!({ "profile": { "budget": budget } })).await?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "StoppedEarly", "{:?}", ended.succeeded);
    assert!(ended.succeeded.message.contains("more than budget.eventsPerSecond"), "{:?}", ended.succeeded);
    agent.wait_for_probes(false).await?;

    let adaptive = json!({ "profile": { "budget": budget, "sampling": { "policy": "Adaptive" } } });
    let name = stage.order(&pod, &container, 12, adaptive).await?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "Completed", "{:?}", ended.succeeded);
    let method = ended.digest.context("a digest")?.attach_method;
    assert_eq!(method, "page tracepoints", "growth mode goes on");
    assert!(pod.is_alive()?);

    let enough = json!({ "profile": { "budget": { "eventsPerSecond": 10_000_000 } } });
    let name = stage.order(&pod, &container, 8, enough).await?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "Completed", "{:?}", ended.succeeded);
    assert_eq!(ended.lines("seed.c"), [13, 20, 30], "{:#?}", ended.digest);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_watched_says_why_and_what_to_do() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let (mut pod, other) = (Pod::create()?, Pod::create()?);
    let container = pod.run(&seed()?, &["100", "120"])?;
    let agent = stage.program.start()?;
    let gone = format!("containerd://{}", "ab".repeat(32));
    for (wanted, container, reason, message, changes) in [
        (&other, &container, "ContainerMismatch", "is not in pod", json!({})),
        (&pod, &gone, "TargetGone", "no cgroup of this node holds", json!({})),
    ] {
        let name = stage.order(wanted, container, 10, changes).await?;
        let ended = stage.ended(&name).await?;
        assert_eq!(ended.succeeded.reason, reason, "{:?}", ended.succeeded);
        assert!(ended.succeeded.message.contains(message), "{:?}", ended.succeeded);
        assert_eq!((ended.uploaded, ended.digest), (None, None));
    }
    let mut without = Pod::create()?;
    let sleeper = without.run(std::path::Path::new("/usr/bin/sleep"), &["120"])?;
    let name = stage.order(&without, &sleeper, 3, json!({})).await?;
    // sleep has glibc mapped, so it is watched, and loses nothing
    let ended = stage.ended(&name).await?;
    assert_eq!((ended.succeeded.reason.as_str(), ended.lines("seed.c").len()), ("Completed", 0));
    agent.wait_for_probes(false).await
}
