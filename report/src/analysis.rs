//! The answer: what a recording says about leaks, as plain data.
//!
//! This is also the JSON that other tools read: `leakhound-analysis/1`, camelCase, sizes in bytes, times in seconds.

mod alert;
mod analyze;
mod classify;
mod cohort;
mod confidence;
mod draws;
mod frames;
mod limit;
mod observation;
mod peak;
mod reconcile;
mod retention;
mod saturation;
mod sawtooth;
mod series;
mod step;
mod text;
mod totals;
mod traffic;
mod trend;
mod turnover;
mod verdict;
mod youngest;

use std::collections::BTreeMap;

pub use analyze::{Options, analyze};
pub(crate) use frames::{Paths, shown, visible};
use serde::{Deserialize, Serialize};
pub use text::Text;
pub(crate) use text::Texts;

use crate::{
    recording::{Mode, Pod, Source},
    stack_key::StackKey,
};

/// The value of [`Analysis::format`] that this version writes.
pub const FORMAT: &str = "leakhound-analysis/1";

/// Snapshots below which nothing is said at all: a trend in fewer is chance.
pub const FEWEST_SNAPSHOTS: usize = 3;
/// Snapshots from which a verdict is as sure as it gets.
pub const GOOD_SNAPSHOTS: usize = 20;

/// What a recording says about leaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// [`FORMAT`].
    pub format: String,
    /// Who produced the numbers.
    pub source: Source,
    /// What was watched.
    pub mode: Mode,
    /// Whom.
    pub target: Target,
    /// Wall-clock time of the start, milliseconds since the Unix epoch, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_unix_ms: Option<u64>,
    /// From the start to the last record.
    pub duration_seconds: f64,
    /// Snapshots in the recording.
    pub snapshot_count: usize,
    /// The sentence about the whole target.
    pub verdict: Verdict,
    /// Sums over all stacks at the end.
    pub totals: Totals,
    /// The target's memory over time, one entry per snapshot.
    pub timeline: Vec<TimelinePoint>,
    /// The moment of the most live bytes, and who held them.
    pub peak: Peak,
    /// Every stack whose live bytes grew in every single snapshot.
    pub alerts: Vec<Alert>,
    /// Stacks, the most suspicious first.
    pub findings: Vec<Finding>,
    /// Every count and loss of the tracer and of the reader, at the end.
    pub ledger: BTreeMap<String, u64>,
    /// What the investigation cost the target.
    pub overhead: Overhead,
}

/// Whom we watched.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Processes as numbered where the tracer ran.
    pub pids: Vec<u32>,
    /// Command line of the first.
    pub command: String,
    /// It was started to be watched.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub launched: bool,
    /// Container id, when one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The container as its cluster calls it, when it was watched there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pod: Option<Pod>,
    /// Memory limit in bytes, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
}

/// The sentence about the whole target; never stronger than the ledger allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The verdict.
    pub name: VerdictName,
    /// How sure, 0 to 100.
    pub confidence_percent: u8,
    /// Why, in whole sentences, the most important first.
    pub reasons: Vec<String>,
    /// Seconds from the end of the recording until the memory limit at the present rate; absent without a limit or growth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_to_limit: Option<f64>,
    /// The earliest and the latest that the trend allows in 95 of 100 cases; no latest when the growth may end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds_to_limit_interval: Option<(f64, Option<f64>)>,
}

/// The possible verdicts on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VerdictName {
    /// Some stack's memory only grows and is not given back.
    LeakLikely,
    /// Memory grew, but no rule explains it well enough.
    GrowthUnexplained,
    /// The program freed what it took; the allocator keeps the pages.
    AllocatorRetention,
    /// Resident memory grew outside the watched allocators.
    OffHeapGrowth,
    /// Nothing grew that matters.
    NoLeakObserved,
    /// Too short, too lossy, or too contradictory to say.
    Inconclusive,
}

/// The possible classes of one stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// Grows steadily and its blocks stay.
    Leak,
    /// Grew in every snapshot, or nearly, with weaker evidence.
    Suspected,
    /// Grows ever more slowly: a cache filling up.
    Saturating,
    /// Reached its level early: start-up or working set.
    Plateau,
    /// Grows and is purged, again and again.
    Sawtooth,
    /// Grew once or a few times in jumps.
    Step,
    /// Came and went.
    Transient,
    /// Too few or too noisy numbers.
    Inconclusive,
}

impl Class {
    /// All of them, in the order in which they are numbered. Findings are ranked otherwise: by what a person should care
    /// about, so that a step comes before what is saturating, and what grows before what has settled.
    pub const ALL: [Self; 8] = [
        Self::Leak,
        Self::Suspected,
        Self::Saturating,
        Self::Plateau,
        Self::Sawtooth,
        Self::Step,
        Self::Transient,
        Self::Inconclusive,
    ];

    /// Whether it accuses a stack: of these a person hears first, and alone where there is room for few.
    pub fn is_alarm(self) -> bool {
        matches!(self, Self::Leak | Self::Suspected)
    }
}

impl Finding {
    /// By what the stack is known again in other replicas, runs and builds.
    pub fn stack_key(&self) -> StackKey {
        StackKey::of(self.frames.iter().map(|frame| (&*frame.module, &*frame.function)))
    }
}

/// Sums over all stacks at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each name says its sum and unit")]
pub struct Totals {
    pub live_bytes: u64,
    pub live_count: u64,
    /// Standard error of `liveBytes`, when they were estimated from a sample.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub live_error_bytes: Option<u64>,
    pub allocated_bytes: u64,
    pub allocated_count: u64,
    pub freed_bytes: u64,
    pub freed_count: u64,
}

/// The target's memory at one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelinePoint {
    /// Seconds since the start.
    pub at_seconds: f64,
    /// Live bytes of all stacks.
    pub live_bytes: u64,
    /// Resident bytes of all processes; absent when the source has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
    /// Anonymous resident and swapped bytes of all processes; absent when the source has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous_bytes: Option<u64>,
}

/// The moment of the most live bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peak {
    /// Seconds since the start.
    pub at_seconds: f64,
    /// Live bytes of all stacks then.
    pub total_bytes: u64,
    /// Who held them, largest first.
    pub parts: Vec<PeakPart>,
}

/// One stack's part of the peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeakPart {
    /// The stack.
    pub stack_id: u32,
    /// Its live bytes at the peak.
    pub bytes: u64,
    /// Of the total, 0 to 100.
    pub percent: f64,
}

/// A stack whose live bytes grew in every single snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// The stack.
    pub stack_id: u32,
    /// Live bytes in the first snapshot.
    pub from_bytes: u64,
    /// Live bytes in the last snapshot.
    pub to_bytes: u64,
}

/// One stack with its class and its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// From 1.
    pub rank: usize,
    /// The stack.
    pub stack_id: u32,
    /// What kind of behaviour it shows.
    pub class: Class,
    /// The numbers behind the class, by name, and a sentence for a person.
    pub evidence: Evidence,
    /// Bytes live at the end.
    pub live_bytes: u64,
    /// Blocks live at the end.
    pub live_count: u64,
    /// Standard error of `liveBytes`, when they were estimated from a sample: two thirds of all estimates are within it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub live_error_bytes: Option<u64>,
    /// Bytes allocated in all.
    pub allocated_bytes: u64,
    /// Blocks allocated in all.
    pub allocated_count: u64,
    /// Live bytes in the first snapshot.
    pub first_live_bytes: u64,
    /// Live bytes in the last snapshot.
    pub last_live_bytes: u64,
    /// Theil-Sen slope of the live bytes; of a leak, of those that stay.
    pub growth_bytes_per_hour: f64,
    /// Live bytes grew in every single snapshot.
    pub grew_every_snapshot: bool,
    /// Innermost first; starts at the allocator's caller unless all frames were asked for.
    pub frames: Vec<Frame>,
    /// Why the walk ended early, when it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_short: Option<String>,
    /// The oldest live blocks, when the recording has them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub blocks: Vec<Block>,
}

/// The numbers behind a class.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// One sentence for a person.
    pub because: String,
    /// Lower and upper bound of the slope, bytes per hour, 95 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slope_interval_bytes_per_hour: Option<(f64, f64)>,
    /// Mann-Kendall's two-sided p-value of "no trend".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trend_p_value: Option<f64>,
    /// Share of the steps between snapshots in which it grew, 0 to 1.
    pub growing_share: f64,
    /// Growth in the last third over growth in the first third; below 1/2 it is slowing down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deceleration: Option<f64>,
    /// Share of the bytes of the older cohorts that is still live, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cohort_survival: Option<f64>,
}

/// One frame of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frame {
    /// Demangled name, or `module+0xoffset`.
    pub function: Text,
    /// Path of the module, empty when unknown.
    pub module: Text,
    /// Source file, when known.
    pub file: Option<Text>,
    /// Source line, when known.
    pub line: Option<u32>,
    /// Inlined into the next frame.
    pub inlined: bool,
    /// Offset in the module, `0x` and hex.
    pub address: String,
}

/// One live block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    /// Address in the target, `0x` and hex.
    pub address: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Age at the end of the recording.
    pub age_seconds: f64,
    /// Process.
    pub pid: u32,
    /// Thread that allocated it.
    pub tid: u32,
}

/// What the investigation cost the target.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Overhead {
    /// Seconds to put all probes on.
    pub attach_seconds: f64,
    /// Seconds to take them off.
    pub detach_seconds: f64,
    /// Times a probe ran.
    pub events: u64,
    /// The same per second.
    pub events_per_second: f64,
    /// Mean cost of one event in nanoseconds.
    pub probe_nanoseconds: f64,
    /// Cores that the target itself kept busy before the probes went on, when known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu_before: Option<f64>,
    /// While they were on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu_during: Option<f64>,
    /// After they came off.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu_after: Option<f64>,
}
