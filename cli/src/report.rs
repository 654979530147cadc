//! `leakhound report`: the same answer from a recording, or from a log of memleak.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result};
use leakhound_report::{
    memleak::read_log,
    recording::{self, Recording},
    sniff::{Input, sniff},
};

use crate::{Outcome, args::Report, outputs::Opened};

/// Enough of an input to tell what it is.
const PREFIX: usize = 64 << 10;

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
    let mut input = BufReader::with_capacity(PREFIX, input);
    let start = input.fill_buf().with_context(|| format!("cannot read {}", path.display()))?;
    let recording = match sniff(start) {
        Input::Recording => recording::read(input).map_err(anyhow::Error::from),
        // a log may begin with much that the program printed, so its reader has the last word
        Input::MemleakLog | Input::Unknown(_) => read_log(input).map_err(anyhow::Error::from),
    };
    recording.with_context(|| format!("cannot use {}", path.display()))
}
