//! Which allocator is watched, when the user says so.

use std::{fs, path::Path, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use leakhound_crds::ConditionStatus;
use leakhound_e2e::kubepod::{Pod, seed};
use serde_json::{Value, json};

use super::{
    receiver::Answer,
    stage::{Seen, Stage},
};

const JEMALLOC: &str = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";

/// Loses the blocks of its own pool at line 8 and those of malloc at line 9.
const POOL: &str = r#"#include <stdlib.h>
#include <unistd.h>
static char arena[64 << 20];
static size_t used;
__attribute__((noinline)) void *pool_malloc(size_t size) { used += size; return arena + used - size; }
__attribute__((noinline)) void pool_free(void *block) { __asm__ volatile("" ::"r"(block) : "memory"); }
static void *volatile kept;
__attribute__((noinline)) static void lose_of_pool(void) { kept = pool_malloc(4096); }
__attribute__((noinline)) static void lose_of_libc(void) { kept = malloc(4096); }
int main(void) {
    for (;;) {
        lose_of_pool();
        lose_of_libc();
        pool_free(pool_malloc(64));
        usleep(10000);
    }
}
"#;

async fn watched(stage: &Stage, pod: &Pod, container: &str, allocator: Value) -> Result<Seen> {
    let name = stage.order(pod, container, 8, json!({ "profile": { "allocator": allocator } })).await?;
    stage.ended(&name).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_library_is_the_only_one_that_is_watched() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    ensure!(Path::new(JEMALLOC).exists(), "{JEMALLOC} is missing: install libjemalloc2");
    let agent = stage.program.start()?;
    agent.ready().await?;
    let mut pod = Pod::create()?;
    let container = pod.run_preloading(Path::new(JEMALLOC), &seed()?, &["100", "0"])?;

    let named = json!({ "type": "Jemalloc", "library": "libjemalloc.so.2" });
    let ended = watched(&stage, &pod, &container, named).await?;
    assert_eq!(ended.succeeded.reason, "Completed", "{:?}", ended.succeeded);
    assert_eq!(ended.lines("seed.c"), [13, 20, 30], "{:#?}", ended.digest);
    let processes = ended.digest.context("a digest")?.processes;
    assert_eq!(processes[0].allocator.as_deref(), Some("jemalloc"));

    // libc's malloc is mapped too, and nobody calls it
    let ended = watched(&stage, &pod, &container, json!({ "library": "libc.so.6" })).await?;
    assert_eq!(ended.succeeded.reason, "Completed", "{:?}", ended.succeeded);
    assert_eq!(ended.lines("seed.c"), [0; 0], "{:#?}", ended.digest);

    for (wish, wanted) in [
        (json!({ "library": "libmissing.so.1" }), "known allocator in a file named libmissing.so.1"),
        (json!({ "type": "Mimalloc" }), "mimalloc"),
        (
            json!({ "type": "Custom", "symbolPrefix": "pool_" }),
            "functions named pool_malloc, pool_free and alike",
        ),
    ] {
        let ended = watched(&stage, &pod, &container, wish).await?;
        let told = &ended.succeeded;
        assert_eq!(
            (told.status, told.reason.as_str()),
            (ConditionStatus::False, "AllocatorNotFound"),
            "{told:?}"
        );
        let message = &told.message;
        assert!(
            message.starts_with(&format!("the program has no {wanted}; of allocators it has ")),
            "{message}"
        );
        assert!(message.contains(&format!("jemalloc in {JEMALLOC}")), "{message}");
        assert!(message.contains("glibc in /") && message.contains(": correct spec.allocator"), "{message}");
        assert_eq!(ended.digest, None);
    }
    assert!(pod.is_alive()?);
    agent.wait_for_probes(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allocator_with_names_of_its_own_is_watched_by_their_prefix() -> Result<()> {
    let Some(stage) = Stage::set(&[Answer::Status(201)]).await? else { return Ok(()) };
    let program = pool(&stage.program.folder)?;
    let agent = stage.program.start()?;
    agent.ready().await?;
    let mut pod = Pod::create()?;
    let container = pod.run(&program, &[])?;

    let wish = json!({ "type": "Custom", "symbolPrefix": "pool_" });
    let ended = watched(&stage, &pod, &container, wish).await?;
    assert_eq!(ended.succeeded.reason, "Completed", "{:?}", ended.succeeded);
    assert_eq!(ended.lines("pool.c"), [8], "{:#?}", ended.digest);
    let digest = ended.digest.context("a digest")?;
    assert_eq!(digest.processes[0].allocator.as_deref(), Some("prefixed"));

    let ended = watched(&stage, &pod, &container, json!({})).await?;
    assert_eq!(ended.lines("pool.c"), [9], "{:#?}", ended.digest);
    assert!(pod.is_alive()?);
    agent.wait_for_probes(false).await
}

fn pool(folder: &Path) -> Result<PathBuf> {
    let (source, program) = (folder.join("pool.c"), folder.join("pool"));
    fs::write(&source, POOL)?;
    let status = Command::new("cc").args(["-O1", "-g", "-o"]).args([&program, &source]).status()?;
    ensure!(status.success(), "the program with a pool does not build");
    Ok(program)
}
