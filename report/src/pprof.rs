//! A heap profile in pprof's format (google/pprof, `proto/profile.proto`, gzip-compressed), for `go tool pprof`, Pyroscope,
//! Parca and whoever else reads it.

mod profile;
mod tables;

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use prost::Message;

use crate::recording::{Recording, Source, StackCounters};

use profile::{Profile, Sample, ValueType};
use tables::{Tables, signed};

/// One sample type: its name, its unit, and where its value comes from.
type SampleType = (&'static str, &'static str, fn(&StackCounters) -> u64);

/// As Go's heap profiles name and order them.
const ALLOCATED: [SampleType; 2] = [
    ("alloc_objects", "count", |counters| counters.allocated_count),
    ("alloc_space", "bytes", |counters| counters.allocated_bytes),
];
const LIVE: [SampleType; 2] = [
    ("inuse_objects", "count", |counters| counters.live_count),
    ("inuse_space", "bytes", |counters| counters.live_bytes),
];

/// Writes the counters at the end of a recording: `inuse_space` (shown unless asked otherwise), `inuse_objects`, and,
/// where the source knows them, `alloc_space` and `alloc_objects`. A text log does not.
///
/// Addresses are offsets in the mapped file, with build ids, so a reader can look up what has no name; those of a text log
/// are raw.
pub fn write(recording: &Recording, out: impl Write) -> io::Result<()> {
    // No time and no name in the head of the file: the same recording gives the same bytes.
    let mut gzip = GzBuilder::new().write(out, Compression::default());
    gzip.write_all(&profile(recording).encode_to_vec())?;
    gzip.finish()?.flush()
}

fn profile(recording: &Recording) -> Profile {
    let header = &recording.header;
    let is_ours = header.source == Source::Leakhound;
    let types = if is_ours { [&ALLOCATED[..], &LIVE].concat() } else { LIVE.to_vec() };
    let mut tables = Tables::of(&recording.modules, is_ours);
    let sample_type = types
        .iter()
        .map(|(name, unit, _)| ValueType { r#type: tables.string(name), unit: tables.string(unit) })
        .collect();
    let mut samples = Vec::new();
    for history in recording.histories() {
        let Some(counters) = history.last() else { continue };
        let value: Vec<i64> = types.iter().map(|(_, _, value)| signed(value(counters))).collect();
        if value.iter().any(|value| *value > 0) {
            let frames: Vec<_> = history.stack.frames.iter().collect();
            samples.push(Sample { location_id: tables.locations(&frames), value });
        }
    }
    let period_type = ValueType { r#type: tables.string("space"), unit: tables.string("bytes") };
    let comment = vec![tables.string(&comment(recording))];
    let default_sample_type = tables.string("inuse_space");
    let (mapping, location, function, string_table) = tables.into_parts();
    Profile {
        sample_type,
        sample: samples,
        mapping,
        location,
        function,
        string_table,
        time_nanos: signed(header.started_unix_ms.unwrap_or_default().saturating_mul(1_000_000)),
        duration_nanos: signed(recording.duration_ns()),
        period_type: Some(period_type),
        period: signed(header.settings.sample_period_bytes.max(1)),
        comment,
        default_sample_type,
    }
}

/// For a person: what the numbers are of.
fn comment(recording: &Recording) -> String {
    let whom = match recording.header.target.command.as_str() {
        "" => "unnamed target",
        command => command,
    };
    let source = match recording.header.source {
        Source::Leakhound => "leakhound",
        Source::MemleakBcc => "a log of bcc's memleak.py (its largest stacks only)",
        Source::MemleakLibbpf => "a log of libbpf-tools' memleak (its largest stacks only)",
    };
    format!("{whom}, from {source}: allocated since the probes went on, and not freed")
}

#[cfg(test)]
mod tests;
