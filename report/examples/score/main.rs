//! Records the planted programs of `examples/corpus`, judges them, and prints how often Leakhound was right: `make score`.

mod record;

#[path = "../../tests/corpus/judge.rs"]
mod judge;
#[path = "../../tests/corpus/table.rs"]
mod table;
#[path = "../../tests/corpus/truth.rs"]
mod truth;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, anyhow};
use clap::Parser;
use leakhound_report::{Options, analyze, recording};

use crate::{
    judge::{judge, score_leaks},
    record::Recorder,
    truth::Truth,
};

/// Judges the planted programs of examples/corpus against the truth. Run it from the root of the repository, as root.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the recordings go, or come from with --kept
    #[arg(long, value_name = "DIR", default_value = "target/score")]
    recordings: PathBuf,
    /// Judge recordings made before, without running anything
    #[arg(long)]
    kept: bool,
    /// Only the cases whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Programs investigated at the same time
    #[arg(long, value_name = "N", default_value_t = 3)]
    jobs: usize,
    /// The tool to record with
    #[arg(long, value_name = "FILE", default_value = "target/release/leakhound")]
    leakhound: PathBuf,
}

#[allow(clippy::print_stdout, reason = "the table is what this program is for")]
fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let text = fs::read_to_string("examples/corpus/truth.toml")
        .context("run this from the root of the repository")?;
    let mut truth = Truth::parse(&text).map_err(|error| anyhow!(error))?;
    truth.cases.retain(|case| case.name.contains(&arguments.only));
    if !arguments.kept {
        Recorder::new(arguments.leakhound, arguments.recordings.clone())?
            .record(&truth.cases, arguments.jobs)?;
    }
    let judge_one = |case| {
        let path = record::path_in(&arguments.recordings, case);
        let file = fs::File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let recording = recording::read(file).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(judge(case, &analyze(&recording, &Options::default())))
    };
    let judgements = truth.cases.iter().map(judge_one).collect::<Result<Vec<_>>>()?;
    print!("{}", table::write(&judgements));
    Ok(if score_leaks(&judgements).is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
