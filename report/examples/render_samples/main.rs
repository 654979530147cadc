//! Writes reports that cover what the page has to show, for its browser tests and for looking at:
//! `cargo run -p leakhound-report --example render_samples -- DIR`.
//!
//! With `--scale` it analyzes and renders 10,000 stacks x 60 snapshots five times and prints the fastest: run it with
//! `--release`.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "made-up numbers of known size, printed for a person"
)]

mod large;
mod modes;
mod odd;
mod plant;
mod small;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Parser;
use leakhound_report::{
    Options, analyze, html,
    recording::{self, Recording},
};

/// Writes sample reports.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where they go
    directory: PathBuf,
    /// Only time the large one
    #[arg(long)]
    scale: bool,
}

/// What really was recorded of a planted program: a queue in Rust that falls behind.
fn recorded() -> Recording {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/backlog-rust.lhr");
    recording::read(fs::File::open(path).expect(path)).expect(path)
}

fn main() -> Result<()> {
    let Arguments { directory, scale } = Arguments::parse();
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let samples: &[(&str, fn() -> Recording)] = &[
        ("large", || large::recording(10_000, 60)),
        ("small", small::recording),
        ("recorded", recorded),
        ("hostile", odd::hostile),
        ("memleak", odd::memleak),
        ("kernel", odd::kernel),
        ("growth", modes::growth),
        ("sampled", modes::sampled),
        ("off-heap", odd::off_heap),
        ("one-snapshot", odd::one_snapshot),
        ("empty", odd::empty),
        ("no-snapshots", odd::no_snapshots),
    ];
    let (samples, repeats) = if scale { (&samples[..1], 5) } else { (samples, 1) };
    for (name, make) in samples {
        let recording = make();
        let mut best: Option<(Duration, Duration)> = None;
        let mut page = String::new();
        for _ in 0..repeats {
            let started = Instant::now();
            let analysis = analyze(&recording, &Options::default());
            let analyzed = started.elapsed();
            page = html::render_kept(&recording, &analysis, Some("before.lhr"))?;
            let rendered = started.elapsed().checked_sub(analyzed).unwrap();
            best = best.filter(|&(a, r)| a + r <= analyzed + rendered).or(Some((analyzed, rendered)));
        }
        let path = directory.join(format!("{name}.html"));
        fs::write(&path, &page).with_context(|| format!("cannot write {}", path.display()))?;
        let (analyzed, rendered) = best.unwrap_or_default();
        #[allow(clippy::print_stdout, reason = "an example reports to its user")]
        {
            println!("{name}: {} bytes, analyzed in {analyzed:.2?}, rendered in {rendered:.2?}", page.len());
        }
    }
    Ok(())
}
