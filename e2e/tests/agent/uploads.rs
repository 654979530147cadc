//! What becomes of a recording that the operator does not take.

use std::fs;

use anyhow::{Context, Result, ensure};
use leakhound_crds::ConditionStatus;
use leakhound_e2e::kubepod::{Pod, seed};
use serde_json::json;

use super::{
    receiver::{Answer, Receiver},
    stage::Stage,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_recording_leaves_the_digest_to_stand() -> Result<()> {
    let Some(stage) = Stage::set(&[]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let _agent = stage.program.start()?;
    for (status, reason) in
        [(403, "Forbidden"), (409, "AlreadyStored"), (413, "TooLarge"), (422, "NotAccepted")]
    {
        stage.receiver.answer(&[Answer::Status(status)]);
        let name = stage.order(&pod, &container, 3, json!({})).await?;
        let ended = stage.ended(&name).await?;
        assert_eq!(ended.succeeded.reason, "Completed");
        let uploaded = ended.uploaded.context("what became of the recording")?;
        assert_eq!((uploaded.status, uploaded.reason.as_str()), (ConditionStatus::False, reason));
        assert!(uploaded.message.contains(&status.to_string()), "{uploaded:?}");
        assert!(ended.digest.context("the digest stands")?.live_bytes > 0);
        assert_eq!(ended.probe.status.context("a status")?.result_digest, None);
    }
    assert_eq!(stage.receiver.uploads().len(), 4, "a refusal is final");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_is_tried_again() -> Result<()> {
    let answers = [Answer::CutOff, Answer::Status(503), Answer::Status(401), Answer::Status(201)];
    let Some(stage) = Stage::set(&answers).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 3, json!({})).await?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.uploaded.context("what became of the recording")?.status, ConditionStatus::True);
    let (_, metrics) = agent.ask("/metrics").await?;
    assert!(metrics.contains("leakhound_agent_uploads_total{result=\"failed\"} 3"), "{metrics}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_grows_too_large_is_not_kept_and_watching_goes_on() -> Result<()> {
    let Some(mut stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    stage.program.arguments = vec!["--recording-mib".into(), "0".into()];
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let _agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 6, json!({})).await?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "Completed");
    let uploaded = ended.uploaded.clone().context("what became of the recording")?;
    assert_eq!((uploaded.status, uploaded.reason.as_str()), (ConditionStatus::False, "NotKept"));
    assert!(uploaded.message.contains("longer snapshotInterval"), "{uploaded:?}");
    assert_eq!(ended.lines("seed.c"), [13, 20, 30]);
    assert!(stage.receiver.uploads().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_waits_for_the_operator_over_a_restart_of_the_agent() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(503)]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let mut agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 3, json!({})).await?;
    leakhound_e2e::wait::until("an upload to be tried", super::stage::LONG, async || {
        ensure!(!stage.receiver.uploads().is_empty(), "nothing came");
        Ok(())
    })
    .await?;
    agent.process.kill()?;
    drop(pod);
    stage.receiver.answer(&[Answer::Status(201)]);
    let _agent = stage.program.start()?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "Completed", "the container is gone, but the end was before");
    assert_eq!(ended.uploaded.context("what became of the recording")?.status, ConditionStatus::True);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn token_and_authority_are_read_again_each_time() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let other = Receiver::start(&[Answer::Status(201)]).await?;
    fs::write(stage.program.folder.join("ca.crt"), &other.ca)?;
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 2, json!({})).await?;
    leakhound_e2e::wait::until("the wrong authority to be refused", super::stage::LONG, async || {
        ensure!(agent.process.log().contains("not uploaded yet"), "it says nothing");
        Ok(())
    })
    .await?;
    assert!(stage.receiver.uploads().is_empty(), "the token went to somebody who was not to be trusted");
    fs::write(stage.program.folder.join("token"), "the-next-token")?;
    fs::write(stage.program.folder.join("ca.crt"), &stage.receiver.ca)?;
    let ended = stage
        .until(&name, "the recording to be stored", |seen| {
            seen.uploaded.as_ref().is_some_and(|uploaded| uploaded.status == ConditionStatus::True)
        })
        .await?;
    assert_eq!(ended.succeeded.reason, "Completed");
    assert_eq!(stage.receiver.uploads()[0].authorization, "Bearer the-next-token");
    Ok(())
}
