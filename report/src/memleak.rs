//! Reads what bcc's `memleak.py` and libbpf-tools' `memleak` print, so that whoever has such a log gets the report.
//!
//! Both tools print the largest stacks every few seconds; the same stack in the next snapshot is recognized by its
//! frames. What they do not print is not invented:
//!
//! - **A stack that is missing** from a full list is below its top: it keeps its last value, at most that of the
//!   smallest stack shown, and is counted as `stackAbsentFromSnapshot`. Missing from a list that is not full, it is gone.
//! - **What was allocated in all** is not in a log; it is what became live, a lower bound.
//! - **The date** is missing, and the start is one interval before the first snapshot, since memleak sleeps first.
//! - **Several runs** in one log: the one with the most snapshots is read, the others are counted.
//! - **A last snapshot that was cut off** is left out, unless it is the only one.
//! - **Lines of other output** are counted; a stack torn apart by them is left out of that one snapshot.
//!
//! Formats: iovisor/bcc, `tools/memleak.py` and `libbpf-tools/memleak.c`.

mod bcc;
mod clock;
mod counters;
mod libbpf;
mod line;
mod losses;
mod open;
mod place;
mod run;
mod stacks;
mod symbol;
mod text;

use std::io::{self, BufRead};

use thiserror::Error;

use crate::recording::{Recording, Skip, describe_foreign};

use line::Line;
use losses::{Loss, Losses};
use run::{LastLine, Run};
use text::Lines;

/// As many bytes as are needed to say what a foreign file is.
const PREFIX: usize = 512;

/// Why a log could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// Nothing in it.
    #[error("the log is empty: give what memleak printed, for example `memleak -p PID > memleak.log`")]
    Empty,
    /// Something else.
    #[error(
        "this is {what}, not a log of memleak: expected the text that bcc's `memleak.py` or libbpf-tools' `memleak` \
         prints, with lines such as `[08:15:42] Top 10 stacks with outstanding allocations:`"
    )]
    Foreign {
        /// What it looks like.
        what: &'static str,
    },
    /// memleak ran, but not for long enough, or failed.
    #[error(
        "none of the {lines} lines of this log begins a snapshot: let memleak run for longer than its interval \
         (5 seconds unless told otherwise), without -t, and look for an error in its output"
    )]
    NoSnapshot {
        /// Lines in the log.
        lines: u64,
    },
    /// The input failed.
    #[error("cannot read the log")]
    Read(#[source] io::Error),
}

/// Reads a log of bcc's `memleak.py` or of libbpf-tools' `memleak`, of any size in bounded memory.
///
/// What it could not read or does not know is in [`Recording::skipped`] and in the ledger of the last snapshot.
pub fn read_log(input: impl BufRead) -> Result<Recording, LogError> {
    let mut lines = Lines::of(input);
    let mut log = Log::default();
    while let Some(text) = lines.next().map_err(LogError::Read)? {
        if log.prefix.len() < PREFIX {
            let room = PREFIX - log.prefix.len();
            log.prefix.extend(text.line.bytes().take(room));
            log.prefix.push(b'\n');
        }
        log.take(if text.too_long { Line::Torn } else { line::classify(&text.line) }, text.whole);
    }
    log.finish()
}

/// Whether what begins with `start` is a log of memleak: a line of it begins a snapshot, a stack, or a run.
pub(crate) fn is_log(start: &[u8]) -> bool {
    let mut lines = Lines::of(start);
    while let Ok(Some(text)) = lines.next() {
        if is_memleak(line::classify(&text.line)) {
            return true;
        }
    }
    false
}

/// Whether only memleak prints such a line.
fn is_memleak(line: Line<'_>) -> bool {
    matches!(line, Line::Snapshot { .. } | Line::Total { .. } | Line::Banner(_))
}

/// What was read of a log so far.
#[derive(Default)]
struct Log {
    prefix: Vec<u8>,
    lines: u64,
    unknown: u64,
    /// A line that only memleak prints was there.
    is_memleak: bool,
    longest: Option<Run>,
    run: Run,
    last_line: Option<LastLine>,
    losses: Losses,
}

impl Log {
    fn take(&mut self, line: Line<'_>, whole: bool) {
        self.lines += 1;
        self.is_memleak |= is_memleak(line);
        if matches!(line, Line::Banner(_)) && self.run.snapshots() > 0 {
            self.end_run(LastLine::Whole);
        }
        let known = match line {
            Line::Torn | Line::Unknown => false,
            line => self.run.take(line),
        };
        if line == Line::Torn {
            self.run.damage();
        }
        self.unknown += u64::from(!known);
        self.last_line = Some(match line {
            _ if whole => LastLine::Whole,
            Line::Torn => LastLine::Torn,
            _ => LastLine::Open,
        });
    }

    fn end_run(&mut self, last_line: LastLine) {
        let mut run = std::mem::take(&mut self.run);
        run.end(last_line);
        if run.snapshots() == 0 {
            return;
        }
        let shorter = match self.longest.take() {
            Some(longest) if longest.snapshots() > run.snapshots() => {
                self.longest = Some(longest);
                Some(run)
            }
            before => {
                self.longest = Some(run);
                before
            }
        };
        if let Some(shorter) = shorter {
            self.losses.add(Loss::OtherRun, 1);
            self.losses.add(Loss::SnapshotOfOtherRun, shorter.snapshots() as u64);
        }
    }

    fn finish(mut self) -> Result<Recording, LogError> {
        let last_line = self.last_line.ok_or(LogError::Empty)?;
        self.end_run(last_line);
        let Some(run) = self.longest else {
            return Err(if self.is_memleak {
                LogError::NoSnapshot { lines: self.lines }
            } else {
                LogError::Foreign { what: describe_foreign(&self.prefix) }
            });
        };
        let mut recording = run.into_recording(&self.losses);
        recording.skipped.add_many(Skip::UnknownLine, self.unknown);
        Ok(recording)
    }
}

#[cfg(test)]
mod tests;
