//! The modes that put no probes into a program: where its memory grows, and what the kernel keeps for it.

use std::{fs, path::Path, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use leakhound_crds::{Digest, Verdict};
use leakhound_e2e::kubepod::{Pod, seed};
use serde_json::json;

use super::{receiver::Answer, stage::Stage};

/// Opens a pipe every 5 ms and closes none.
const PIPES: &str = r"#include <sys/resource.h>
#include <unistd.h>
int main(void) {
    struct rlimit most = {100000, 100000};
    setrlimit(RLIMIT_NOFILE, &most);
    for (int ends[2];; usleep(5000)) if (pipe(ends) < 0) return 1;
}
";

fn has_frame(digest: &Digest, wanted: impl Fn(&leakhound_crds::Frame) -> bool) -> bool {
    digest.findings.iter().any(|finding| finding.frames.iter().any(&wanted))
}

#[tokio::test(flavor = "multi_thread")]
async fn growth_mode_names_the_lines_where_a_program_gets_larger() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let agent = stage.program.start()?;
    agent.ready().await?;
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["5000", "0"])?;
    let name = stage.order(&pod, &container, 12, json!({ "mode": "Growth" })).await?;
    stage.running(&name, 1).await?;
    assert!(agent.probes()? > 0, "nothing is attached while it runs");
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "Completed", "{:?}", ended.succeeded);
    let digest = ended.digest.context("a digest")?;
    // what grows is known, not whether blocks within the pages were freed
    assert_ne!(digest.verdict, Verdict::NoLeakObserved, "{digest:#?}");
    assert!(has_frame(&digest, |frame| frame.file.ends_with("seed.c")), "{digest:#?}");
    assert!(digest.live_bytes > 4 << 20, "{}", digest.live_bytes);
    assert_eq!(digest.losses.get("blocksFull"), None, "{:?}", digest.losses);
    assert_eq!(stage.receiver.uploads().len(), 1);
    agent.wait_for_probes(false).await?;
    assert!(pod.is_alive()?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_growth_mode_the_agents_memory_bounds_the_pages_that_are_followed() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let agent = stage.program.start()?;
    agent.ready().await?;
    let mut pod = Pod::create()?;
    // some 20 MiB a second, of which some 230 MiB can be followed
    let container = pod.run_limited(&seed()?, &["50000", "0"], Some(2 << 30))?;
    let small = json!({ "mode": "Growth", "profile": { "budget": { "agentMemory": "32Mi" } } });
    let name = stage.order(&pod, &container, 100, small).await?;
    let seen = stage
        .until(&name, "more pages than fit", |seen| {
            seen.digest.as_ref().is_some_and(|digest| digest.losses.contains_key("blocksFull"))
        })
        .await?;
    let digest = seen.digest.context("a digest")?;
    assert!(digest.live_bytes > 150 << 20 && digest.live_bytes < 300 << 20, "{}", digest.live_bytes);
    assert!(digest.overhead.dropped > 0, "{:?}", digest.overhead);
    stage.change(&name, json!({ "desired": "Stop" })).await?;
    assert_eq!(stage.ended(&name).await?.succeeded.reason, "StoppedEarly");
    agent.wait_for_probes(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_mode_names_the_path_through_the_kernel() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let program = pipes(&stage.program.folder)?;
    let agent = stage.program.start()?;
    agent.ready().await?;
    let mut pod = Pod::create()?;
    let container = pod.run(&program, &[])?;
    let name = stage.order(&pod, &container, 20, json!({ "mode": "Kernel" })).await?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "Completed", "{:?}", ended.succeeded);
    let digest = ended.digest.context("a digest")?;
    assert_eq!(digest.verdict, Verdict::LeakLikely, "{digest:#?}");
    assert!(has_frame(&digest, |frame| frame.function == "alloc_pipe_info"), "{digest:#?}");
    assert_eq!(stage.receiver.uploads().len(), 1);
    agent.wait_for_probes(false).await?;
    assert!(pod.is_alive()?);
    Ok(())
}

fn pipes(folder: &Path) -> Result<PathBuf> {
    let (source, program) = (folder.join("pipes.c"), folder.join("pipes"));
    fs::write(&source, PIPES)?;
    let status = Command::new("cc").args(["-O1", "-o"]).args([&program, &source]).status()?;
    ensure!(status.success(), "the program with pipes does not build");
    Ok(program)
}
