//! Reads a recording back, from whoever wrote it and whatever happened to it since: bounded memory, never a panic.

mod foreign;
pub(super) mod weight;

use std::io::{self, BufRead, BufReader, Cursor, Read};

use serde::{Deserialize, de::DeserializeOwned};
use thiserror::Error;
use zstd::stream::read::Decoder;

use super::{FORMAT, Header, Record, Recording, Skip};

pub(crate) use foreign::describe_foreign;

/// First bytes of a zstd frame (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Largest window of a frame, as a power of two: 16 MiB, above `zstd -19`. A frame may ask for gigabytes.
const WINDOW_LOG: u32 = 24;
/// As many bytes as are needed to say what a foreign file is.
const PREFIX: u64 = 512;

/// How much memory a file may make a reader use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest line in bytes. A snapshot in which 250,000 pairs of stack and cohort changed has about 18 MiB.
    pub line_bytes: usize,
    /// Largest recording in bytes of memory, by estimate.
    pub recording_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { line_bytes: 64 << 20, recording_bytes: 1 << 30 }
    }
}

/// Why a recording could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing in it.
    #[error("the file is empty: nothing was recorded, or it is still being written")]
    Empty,
    /// Something else.
    #[error("this is {what}, not a recording: give the file that `leakhound run --recording FILE` wrote")]
    Foreign {
        /// What it looks like.
        what: &'static str,
    },
    /// Cut off or damaged before anything could be read.
    #[error(
        "the recording is damaged or cut off before its first record, and nothing can be read from it: copy it again, or record again"
    )]
    NoHeader,
    /// A header that this version cannot understand.
    #[error("the header of the recording cannot be understood: it is damaged, or from a newer Leakhound")]
    Header(#[source] serde_json::Error),
    /// A later or earlier format.
    #[error(
        "the recording has format `{found}`, and this version reads `{FORMAT}`: use the Leakhound that wrote it"
    )]
    Version {
        /// The format it names.
        found: String,
    },
    /// A line longer than any recorder writes.
    #[error(
        "line {line} of the recording is too large (over {limit} bytes, or too many values): the file is damaged"
    )]
    LineTooLong {
        /// Line number, from 1.
        line: u64,
        /// Most bytes of one line.
        limit: usize,
    },
    /// More than may be kept in memory.
    #[error(
        "the recording needs more than {limit} bytes of memory: record for a shorter time, or with a longer interval"
    )]
    TooLarge {
        /// Most bytes of memory.
        limit: usize,
    },
    /// The input failed.
    #[error("cannot read the recording")]
    Read(#[source] io::Error),
}

/// Whether a file that begins with `start` may be a recording, compressed or not; the header decides.
pub fn is_recording(start: &[u8]) -> bool {
    start.starts_with(&ZSTD_MAGIC) || start.trim_ascii_start().starts_with(b"{\"kind\"")
}

/// Reads a recording, compressed or as plain JSON Lines. Whatever is missing or wrong behind the header is left out or
/// mended, and counted in [`Recording::skipped`].
pub fn read(input: impl Read) -> Result<Recording, ReadError> {
    read_within(input, Limits::default())
}

/// [`read`] with limits of the caller's choice.
pub fn read_within(mut input: impl Read, limits: Limits) -> Result<Recording, ReadError> {
    let mut start = Vec::new();
    input.by_ref().take(PREFIX).read_to_end(&mut start).map_err(ReadError::Read)?;
    if start.is_empty() {
        return Err(ReadError::Empty);
    }
    if !is_recording(&start) {
        return Err(ReadError::Foreign { what: foreign::describe(&start) });
    }
    let compressed = start.starts_with(&ZSTD_MAGIC);
    let mut input = Watched { inner: Cursor::new(start).chain(input), failure: None };
    let result = if compressed {
        let mut decoder = Decoder::new(&mut input).map_err(ReadError::Read)?;
        decoder.window_log_max(WINDOW_LOG).map_err(ReadError::Read)?;
        read_lines(BufReader::new(decoder), limits)
    } else {
        read_lines(BufReader::new(&mut input), limits)
    };
    match input.failure {
        Some(failure) => Err(ReadError::Read(failure)),
        None => result,
    }
}

/// Tells a failing disk from a damaged file: the decoder reports both as its own error.
struct Watched<R> {
    inner: R,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failure = Some(io::Error::new(error.kind(), error.to_string()));
            }
        })
    }
}

fn read_lines(mut input: impl BufRead, limits: Limits) -> Result<Recording, ReadError> {
    let mut line = Vec::new();
    let mut line_end = next_line(&mut input, &mut line, 1, limits)?;
    if line.is_empty() || line_end.is_cut() && serde_json::from_slice::<Kind>(&line).is_err() {
        return Err(ReadError::NoHeader);
    }
    let mut recording = Recording::new(header(&line)?);
    let mut kept = weight::of_line(&line);
    for number in 2.. {
        if line_end.is_cut() {
            break;
        }
        line_end = next_line(&mut input, &mut line, number, limits)?;
        let record = match parse(&line) {
            Err(_) if line_end.is_cut() => break, // half a line, or nothing behind the last one
            record => record,
        };
        // Even a line that says nothing takes time to read.
        let weight =
            record.as_ref().ok().and_then(Option::as_ref).map_or(0, weight::of).max(1 + line.len() / 8);
        kept = kept.saturating_add(weight);
        if kept > limits.recording_bytes {
            return Err(ReadError::TooLarge { limit: limits.recording_bytes });
        }
        match record {
            Ok(Some(record)) => recording.push(record),
            Ok(None) => recording.skipped.add(Skip::UnknownKind),
            Err(_) => recording.skipped.add(Skip::UnreadableLine),
        }
    }
    if recording.end.is_none() {
        recording.skipped.add(Skip::CutOff);
    }
    Ok(recording)
}

/// How a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    Newline,
    EndOfFile,
    /// The decompressor stopped: the frame is incomplete or damaged.
    Damage,
}

impl LineEnd {
    fn is_cut(self) -> bool {
        self != Self::Newline
    }
}

fn next_line(
    input: &mut impl BufRead,
    line: &mut Vec<u8>,
    number: u64,
    limits: Limits,
) -> Result<LineEnd, ReadError> {
    line.clear();
    line.shrink_to(1 << 20); // one large snapshot must not hold its memory for the rest of the file
    let line_end = match input.take(limits.line_bytes as u64 + 1).read_until(b'\n', line) {
        Err(_) => LineEnd::Damage, // a failure of the input itself was noted by `Watched`
        Ok(_) if line.last() == Some(&b'\n') => LineEnd::Newline,
        Ok(_) => LineEnd::EndOfFile,
    };
    if line.len() > limits.line_bytes || weight::of_line(line) > limits.recording_bytes {
        return Err(ReadError::LineTooLong { line: number, limit: limits.line_bytes });
    }
    Ok(line_end)
}

/// The tag of a line. Reading it first, and then the record by its own type, avoids the copy of the whole line that serde
/// makes for a tagged enum.
#[derive(Deserialize)]
struct Kind {
    kind: String,
}

fn header(line: &[u8]) -> Result<Header, ReadError> {
    /// Only what tells versions apart: everything else may have changed its type.
    #[derive(Deserialize)]
    struct Format {
        format: String,
    }
    let foreign = ReadError::Foreign { what: foreign::describe(line) };
    match serde_json::from_slice::<Kind>(line) {
        Ok(Kind { kind }) if kind == "header" => {}
        _ => return Err(foreign),
    }
    match serde_json::from_slice::<Format>(line) {
        Ok(Format { format }) if format == FORMAT => {}
        Ok(Format { format }) if format.starts_with("leakhound/") => {
            return Err(ReadError::Version { found: format.chars().take(40).collect() });
        }
        _ => return Err(foreign),
    }
    serde_json::from_slice(line).map_err(ReadError::Header)
}

/// The record of a line; `None` for a kind that this version does not know.
fn parse(line: &[u8]) -> serde_json::Result<Option<Record>> {
    fn as_record<T: DeserializeOwned>(
        line: &[u8],
        record: fn(T) -> Record,
    ) -> serde_json::Result<Option<Record>> {
        serde_json::from_slice(line).map(|value| Some(record(value)))
    }
    match serde_json::from_slice::<Kind>(line)?.kind.as_str() {
        "header" => as_record(line, Record::Header),
        "module" => as_record(line, Record::Module),
        "stack" => as_record(line, Record::Stack),
        "snapshot" => as_record(line, Record::Snapshot),
        "event" => as_record(line, Record::Event),
        "end" => as_record(line, Record::End),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;
