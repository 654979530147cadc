//! `leakhound report`: the same answer from a recording, or from a log of memleak.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use anyhow::{Context, Error, Result, bail};
use leakhound_report::{
    memleak::{LogError, read_log},
    recording::{self, ReadError, Recording},
    sniff::{Input, sniff},
};

use crate::{Outcome, args::Report, outputs::Opened};

/// Enough of an input to tell what it is.
const PREFIX: usize = 64 << 10;

pub(crate) fn report(report: &Report) -> Result<Outcome> {
    let outputs = Opened::open(&report.outputs)?;
    match load(&report.input) {
        Ok(recording) => outputs.write(&recording, Some(&report.input), &report.outputs, report.quiet),
        Err(error) => {
            outputs.abandon();
            Err(error)
        }
    }
}

/// Reads a recording or a log, told apart by content; `-` is standard input.
pub(crate) fn load(path: &Path) -> Result<Recording> {
    let (name, input): (_, Box<dyn Read>) = match path.as_os_str() == "-" {
        true => ("standard input".into(), Box::new(io::stdin())),
        false => (path.display().to_string(), Box::new(open(path)?)),
    };
    let mut input = BufReader::with_capacity(PREFIX, input);
    let start = input.fill_buf().with_context(|| format!("cannot read {name}"))?;
    let recording = match sniff(start) {
        Input::Recording => recording::read(input).map_err(Error::from),
        Input::MemleakLog => read_log(input).map_err(Error::from),
        // a log may begin with much that the program printed, so its reader has the last word
        Input::Unknown(what) => read_log(input).map_err(|error| match error {
            LogError::Foreign { .. } => ReadError::Foreign { what }.into(),
            LogError::Empty => ReadError::Empty.into(),
            other => other.into(),
        }),
    };
    recording.with_context(|| format!("cannot use {name}"))
}

fn open(path: &Path) -> Result<File> {
    let what_is = "a recording is the file that `leakhound run --recording FILE` wrote";
    let shown = path.display();
    match File::open(path) {
        Ok(file) if file.metadata().is_ok_and(|metadata| metadata.is_dir()) => {
            bail!("cannot read {shown}, which is a folder: {what_is}")
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("cannot read {shown}, as there is no such file: {what_is}")
        }
        opened => opened.with_context(|| format!("cannot read {shown}")),
    }
}
