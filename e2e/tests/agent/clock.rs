//! The time of day may jump; how long something is watched does not.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use leakhound_e2e::kubepod::{Pod, seed};
use serde_json::json;

use super::{
    receiver::Answer,
    stage::{Stage, in_seconds},
};

/// Adds the seconds that a file holds to the time of day of whoever it is loaded into, and to nothing else.
const SHIFT: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    const char *path = getenv("CLOCK_SHIFT_FILE");
    FILE *file = clock == CLOCK_REALTIME && path ? fopen(path, "r") : NULL;
    long shift = 0;
    if (file) {
        if (fscanf(file, "%ld", &shift) == 1) time->tv_sec += shift;
        fclose(file);
    }
    return result;
}
"#;

async fn shifted() -> Result<Option<Stage>> {
    let Some(mut stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(None) };
    let file = |name: &str| stage.program.folder.join(name);
    fs::write(file("shift.c"), SHIFT)?;
    fs::write(file("shift"), "0")?;
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([file("shift.so"), file("shift.c")])
        .status()
        .context("run cc")?;
    ensure!(status.success(), "the shifted clock does not build");
    let environment = [("LD_PRELOAD", file("shift.so")), ("CLOCK_SHIFT_FILE", file("shift"))];
    stage.program.environment =
        environment.map(|(name, path)| (name.to_owned(), path.to_string_lossy().into_owned())).into();
    Ok(Some(stage))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_does_not_bring_the_deadline_closer() -> Result<()> {
    let Some(stage) = shifted().await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let _agent = stage.program.start()?;
    let name = stage.order(&pod, &container, 15, json!({ "deadlineTime": in_seconds(600)? })).await?;
    stage.running(&name, 1).await?;
    fs::write(stage.program.folder.join("shift"), "3600")?;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "Completed");
    assert!((15..40).contains(&ended.coverage()), "{}", ended.coverage());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_back_does_not_put_the_deadline_off() -> Result<()> {
    let Some(stage) = shifted().await? else { return Ok(()) };
    let mut pod = Pod::create()?;
    let container = pod.run(&seed()?, &["100", "120"])?;
    let agent = stage.program.start()?;
    agent.ready().await?;
    let name = stage.order(&pod, &container, 100, json!({ "deadlineTime": in_seconds(40)? })).await?;
    stage.running(&name, 1).await?;
    fs::write(stage.program.folder.join("shift"), "-3600")?;
    tokio::time::timeout(Duration::from_secs(60), agent.wait_for_probes(false)).await??;
    let ended = stage.ended(&name).await?;
    assert_eq!(ended.succeeded.reason, "DeadlineExceeded");
    assert!(ended.coverage() < 60, "{}", ended.coverage());
    Ok(())
}
