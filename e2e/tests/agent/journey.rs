//! From an order to a digest with lines of source and an uploaded recording.

use anyhow::{Context, Result, ensure};
use leakhound_crds::{ConditionStatus, Verdict};
use leakhound_e2e::kubepod::{Pod, seed};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{receiver::Answer, stage::Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_leak_is_found_by_line_and_its_recording_reaches_the_operator() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 12, json!({})).await?;

    let early = stage.running(&name, 1).await?;
    assert!(agent.probes()? > 0, "nothing is attached while it runs");
    let ended = stage.ended(&name).await?;

    assert_eq!(
        (ended.succeeded.status, ended.succeeded.reason.as_str()),
        (ConditionStatus::True, "Completed")
    );
    assert_eq!(ended.lines("seed.c"), [13, 20, 30], "{:#?}", ended.digest);
    let (first, last) = (early.digest.context("an early digest")?, ended.digest.clone().context("a digest")?);
    assert!(last.live_bytes > first.live_bytes && last.snapshot_count > first.snapshot_count);
    assert_eq!(last.verdict, Verdict::LeakLikely, "{last:#?}");
    assert_eq!(last.processes[0].pid, i32::try_from(pod.pid()?)?);
    assert!(last.memory.end_bytes > last.memory.start_bytes, "{:?}", last.memory);
    assert!(ended.coverage() >= 12, "{}", ended.coverage());

    // the recording came before the last word, whole and once
    let status = ended.probe.status.clone().context("a status")?;
    let uploads = stage.receiver.uploads();
    let upload = uploads.first().context("no recording came")?;
    let hash = format!("{:x}", Sha256::digest(&upload.body));
    assert_eq!(uploads.len(), 1);
    assert_eq!(upload.path, format!("/v1/probes/{}/recording", ended.probe.metadata.uid.context("a uid")?));
    assert_eq!(upload.authorization, "Bearer upload-token");
    assert_eq!((&upload.sha256, upload.length), (&hash, u64::try_from(upload.body.len())?));
    assert_eq!(status.result_digest, Some(format!("sha256:{hash}")));
    assert_eq!(ended.uploaded.context("what became of the recording")?.status, ConditionStatus::True);

    // nothing is left, and the program never noticed
    agent.wait_for_probes(false).await?;
    assert!(pod.is_alive()?);
    leakhound_e2e::wait::until("the spool to be empty", super::stage::LONG, async || {
        ensure!(stage.program.spooled().is_empty(), "{:?}", stage.program.spooled());
        Ok(())
    })
    .await?;
    let (_, metrics) = agent.ask("/metrics").await?;
    assert!(metrics.contains("leakhound_agent_probes_ended_total{reason=\"Completed\"} 1"), "{metrics}");
    Ok(())
}
