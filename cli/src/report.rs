//! `leakhound report`: the same answer from a recording, or from a log of memleak.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context, Result};
use leakhound_report::recording::{self, Recording};

use crate::{Outcome, args::Report, outputs::Opened};

pub(crate) fn report(report: &Report) -> Result<Outcome> {
    let outputs = Opened::open(&report.outputs)?;
    match load(&report.input) {
        Ok(recording) => outputs.write(&recording, &report.outputs, report.quiet),
        Err(error) => {
            outputs.abandon();
            Err(error)
        }
    }
}

/// Reads a recording or a log, told apart by content; `-` is standard input.
pub(crate) fn load(path: &Path) -> Result<Recording> {
    let input: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path).with_context(|| format!("cannot read {}", path.display()))?),
    };
    recording::read(input).with_context(|| format!("cannot use {}", path.display()))
}
