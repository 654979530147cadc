//! Folded stacks for flame-graph tools (flamegraph.pl, inferno, speedscope): one line per stack, outermost function
//! first, `main;serve;grow 4096`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use crate::{
    analysis::{Paths, visible},
    recording::{History, Recording},
};

/// What the number behind a stack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weight {
    /// Bytes live at the end.
    #[default]
    LiveBytes,
    /// Blocks live at the end.
    LiveCount,
    /// Bytes live at the end above those of the first snapshot: what grew.
    Growth,
    /// Bytes allocated in all; of a text log only a lower bound.
    Allocated,
}

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// What the numbers are.
    pub weight: Weight,
    /// With the allocator's own frames.
    pub all_frames: bool,
}

/// Writes every stack of which there is something, sorted, each once.
///
/// Names lose what the format cannot hold: `;` becomes `:`, line ends and other control characters become spaces.
pub fn write(recording: &Recording, options: Options, mut out: impl Write) -> io::Result<()> {
    let paths = Paths::of(&recording.modules);
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for history in recording.histories() {
        let weight = weigh(&history, options.weight, recording.snapshots.len());
        if weight > 0 {
            let frames: Vec<_> = visible(&history.stack.frames, options.all_frames).collect();
            let names: Vec<_> = frames.iter().rev().map(|frame| escape(&paths.function(frame))).collect();
            let line = if names.is_empty() { UNKNOWN.to_owned() } else { names.join(";") };
            let sum = lines.entry(line).or_default();
            *sum = sum.saturating_add(weight);
        }
    }
    for (line, weight) in lines {
        writeln!(out, "{line} {weight}")?;
    }
    out.flush()
}

const UNKNOWN: &str = "[unknown]";

fn weigh(history: &History<'_>, weight: Weight, snapshots: usize) -> u64 {
    let Some(last) = history.last() else { return 0 };
    match weight {
        Weight::LiveBytes => last.live_bytes,
        Weight::LiveCount => last.live_count,
        Weight::Allocated => last.allocated_bytes,
        Weight::Growth if snapshots > 1 => {
            let first = history.sample(&[0], |counters| counters.live_bytes)[0];
            last.live_bytes.saturating_sub(first)
        }
        Weight::Growth => 0,
    }
}

/// A name that no reader of the format can take for something else.
fn escape(name: &str) -> String {
    let clean: String = name
        .chars()
        .map(|c| match c {
            ';' => ':',
            c if c.is_control() || c == '\u{2028}' || c == '\u{2029}' => ' ',
            c => c,
        })
        .collect();
    let clean = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    match clean.rsplit_once(' ') {
        _ if clean.is_empty() => UNKNOWN.to_owned(),
        // `a b 12 4096` would be read as a stack `a b` of two recordings
        Some((begin, number)) if number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
            format!("{begin}_{number}")
        }
        _ if clean.starts_with('#') => format!("_{clean}"), // a comment
        _ => clean,
    }
}

#[cfg(test)]
mod tests;
