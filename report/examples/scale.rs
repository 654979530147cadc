//! How long a large recording takes: `cargo run --release -p leakhound-report --example scale -- 10000 60`.
//!
//! Stacks of every behaviour, with cohorts, as the tests simulate them. Every figure is the processor time of the best of
//! three runs, so that a busy machine does not change it much.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "made-up numbers of known size, printed for a person"
)]

#[path = "../tests/synthetic/behaviour.rs"]
#[allow(dead_code, reason = "some behaviours are only for tests")]
mod behaviour;
#[path = "../tests/synthetic/heap.rs"]
mod heap;
#[path = "../tests/synthetic/random.rs"]
mod random;

use std::fs;

use anyhow::{Context as _, Result};
use leakhound_report::{
    Options,
    analysis::{self, Class},
    html,
    recording::{self, Record, Recording, Writer},
};

use crate::{heap::Watch, random::Random};

#[allow(clippy::print_stdout, reason = "the figures are what this program is for")]
fn main() -> Result<()> {
    let mut arguments =
        std::env::args().skip(1).map(|text| text.parse::<u32>().context("STACKS SNAPSHOTS: two numbers"));
    let stacks = arguments.next().transpose()?.unwrap_or(10_000);
    let snapshots = arguments.next().transpose()?.unwrap_or(60);
    let watch = Watch { snapshots, interval: 1.0, cohorts: true };
    let recording = simulate(stacks, watch);
    println!("{stacks} stacks, {snapshots} snapshots");

    let mut file = Vec::new();
    let writing = best(|| {
        file = write(&recording)?;
        Ok(())
    })?;
    println!("write    {writing:>8.3} s  {} bytes", file.len());
    println!("read     {:>8.3} s", best(|| recording::read(file.as_slice()).map(drop).map_err(Into::into))?);

    let mut analysis = None;
    let options = Options::default();
    println!(
        "analyze  {:>8.3} s",
        best(|| {
            analysis = Some(analysis::analyze(&recording, &options));
            Ok(())
        })?
    );
    let analysis = analysis.context("analyzed three times")?;
    let mut json = 0;
    let seconds = best(|| {
        json = serde_json::to_vec(&analysis)?.len();
        Ok(())
    })?;
    println!("json     {seconds:>8.3} s  {json} bytes");
    let mut page = 0;
    let seconds = best(|| {
        page = html::render(&recording, &analysis)?.len();
        Ok(())
    })?;
    println!("html     {seconds:>8.3} s  {page} bytes");
    Ok(())
}

fn simulate(stacks: u32, watch: Watch) -> Recording {
    const CLASSES: [Class; 7] = [
        Class::Leak,
        Class::Suspected,
        Class::Saturating,
        Class::Plateau,
        Class::Sawtooth,
        Class::Step,
        Class::Transient,
    ];
    let behave = |stack: u32| {
        behaviour::behave(CLASSES[stack as usize % CLASSES.len()], watch, &mut Random::new(u64::from(stack)))
    };
    heap::record(&(0..stacks).map(behave).collect::<Vec<_>>(), watch)
}

fn write(recording: &Recording) -> Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new());
    writer.write(&Record::Header(recording.header.clone()))?;
    for stack in &recording.stacks {
        writer.write(&Record::Stack(stack.clone()))?;
    }
    for snapshot in &recording.snapshots {
        writer.write(&Record::Snapshot(snapshot.clone()))?;
    }
    Ok(writer.finish()?)
}

/// Seconds of the fastest of three runs.
fn best(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let began = processor_seconds()?;
        work()?;
        best = best.min(processor_seconds()? - began);
    }
    Ok(best)
}

/// Time that this thread has been running on a processor.
fn processor_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").context("the kernel keeps no schedstat")?;
    let nanoseconds: f64 = text.split_whitespace().next().context("schedstat is empty")?.parse()?;
    Ok(nanoseconds / 1e9)
}
