//! What changed between two recordings, of two versions of a program or of two times of day.
//!
//! Addresses and lines differ between builds, so stacks are matched by what stays: file names of modules without their
//! version, and names of functions. Durations differ too, so growth is compared per hour.

mod usage;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    analysis::{self, Paths, Texts, visible},
    recording::{self, EventKind, Mode, Recording, Source},
    stack_key::StackKey,
};

use usage::Precision;
pub use usage::Usage;

/// The value of [`Diff::format`] that this version writes.
pub const FORMAT: &str = "leakhound-diff/1";

/// Rates that differ by no more than this share of the larger one count as the same: no two runs of one program are equal.
const SAME: f64 = 0.1;

/// What changed between two recordings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    /// [`FORMAT`].
    pub format: String,
    /// The earlier, or the one to compare with.
    pub before: Side,
    /// The later.
    pub after: Side,
    /// Why the two can be compared only in part; none when they can.
    pub caveats: Vec<Caveat>,
    /// Every stack of either, the largest difference in growth first.
    pub stacks: Vec<StackDiff>,
}

/// One of the two recordings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// Who produced the numbers.
    pub source: Source,
    /// What was watched.
    pub mode: Mode,
    /// Command line of the target; empty when unknown.
    pub command: String,
    /// From the start to the last record.
    pub duration_seconds: f64,
    /// Snapshots in the recording.
    pub snapshot_count: usize,
    /// Mean bytes between two samples; 0 follows every allocation.
    #[serde(skip_serializing_if = "usage::is_zero", default)]
    pub sample_period_bytes: u64,
    /// Fewer allocations were followed later on than at the start, for want of budget.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub followed_less: bool,
    /// Allocations smaller than this were not followed; 0 follows all.
    #[serde(skip_serializing_if = "usage::is_zero", default)]
    pub min_size_bytes: u64,
    /// Sums over all stacks.
    pub total: Usage,
}

/// What makes a comparison weaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Caveat {
    /// Different things were watched: the sums say little.
    DifferentModes,
    /// One of them holds its largest stacks only: what is missing may just be smaller.
    LargestStacksOnly,
    /// Allocations were sampled, or left out by size, in different ways: small stacks may differ for that alone.
    DifferentSampling,
    /// One of them has fewer than two snapshots: it has no growth.
    NoGrowth,
    /// One of them is more than twice as long: what happens once at the start weighs less in it.
    DifferentDurations,
}

/// One stack in both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StackDiff {
    /// What happened to it.
    pub change: Change,
    /// Innermost first, without the allocator's own; as they are in the later recording, where it is in that one.
    pub frames: Vec<analysis::Frame>,
    /// In the earlier recording; absent when it is not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<Usage>,
    /// In the later recording; absent when it is not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<Usage>,
    /// Bytes per hour by which the later one grows faster; negative when more slowly.
    pub growth_difference_bytes_per_hour: f64,
}

/// What happened to a stack from one recording to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// Only in the later one.
    Appeared,
    /// Grows faster.
    Grew,
    /// Grows more slowly, or shrinks.
    Shrank,
    /// Only in the earlier one.
    Went,
    /// Grows as before, within a tenth, or within twice the error of what was sampled.
    Same,
}

/// Compares two recordings. The same recordings give the same difference.
pub fn diff(before: &Recording, after: &Recording) -> Diff {
    let (stacks_before, total_before) = usages(before);
    let (mut stacks_after, total_after) = usages(after);
    let precision = (Precision::of(before), Precision::of(after));
    let mut stacks: Vec<StackDiff> = Vec::new();
    for (key, (frames, before)) in stacks_before {
        let later = stacks_after.remove(&key);
        let (frames, after) = later.map_or((frames, None), |(frames, after)| (frames, Some(after)));
        stacks.push(compare(frames, Some(before), after, precision));
    }
    stacks.extend(
        stacks_after.into_values().map(|(frames, after)| compare(frames, None, Some(after), precision)),
    );
    stacks.sort_by(|a, b| {
        let size = |stack: &StackDiff| stack.growth_difference_bytes_per_hour.abs();
        let live = |stack: &StackDiff| stack.after.or(stack.before).map_or(0, |usage| usage.live_bytes);
        size(b).total_cmp(&size(a)).then_with(|| live(b).cmp(&live(a)))
    });
    Diff {
        format: FORMAT.to_owned(),
        caveats: caveats(before, after),
        before: side(before, total_before),
        after: side(after, total_after),
        stacks,
    }
}

type Usages = BTreeMap<StackKey, (Vec<analysis::Frame>, Usage)>;

/// Every stack that ever had a byte, stacks with the same names added together, and the sum of all.
fn usages(recording: &Recording) -> (Usages, Usage) {
    let paths = Paths::of(&recording.modules);
    let mut texts = Texts::default();
    let mut usages = Usages::new();
    let mut total = Usage::of_nothing(recording);
    for history in recording.histories() {
        if history.changes.iter().all(|(_, counters)| counters.allocated_bytes == 0) {
            continue;
        }
        let usage = Usage::of(&history, recording);
        total = total + usage;
        let frames = analysis::shown(&history.stack.frames, &paths, false, &mut texts);
        usages
            .entry(key(&history.stack.frames, &paths))
            .and_modify(|(_, sum)| *sum = *sum + usage)
            .or_insert((frames, usage));
    }
    (usages, total)
}

/// Without the allocator's own frames: how many of them are inlined is the compiler's choice. A function without a name is known
/// by its module only.
fn key(frames: &[recording::Frame], paths: &Paths<'_>) -> StackKey {
    let calls = visible(frames, false);
    StackKey::of(calls.map(|frame| (paths.module(frame), frame.function.as_deref().unwrap_or_default())))
}

fn compare(
    frames: Vec<analysis::Frame>,
    before: Option<Usage>,
    after: Option<Usage>,
    precision: (Precision, Precision),
) -> StackDiff {
    let rate = |usage: Option<Usage>| usage.map_or(0.0, |usage| usage.growth_bytes_per_hour);
    let (from, to) = (rate(before), rate(after));
    let difference = to - from;
    let error = precision.0.error(before, after).hypot(precision.1.error(after, before));
    let change = match (before, after) {
        _ if error > 0.0 && difference.abs() <= 2.0 * error => Change::Same,
        (None, _) => Change::Appeared,
        (_, None) => Change::Went,
        _ if difference.abs() <= SAME * from.abs().max(to.abs()) => Change::Same,
        _ if difference > 0.0 => Change::Grew,
        _ => Change::Shrank,
    };
    StackDiff { change, frames, before, after, growth_difference_bytes_per_hour: difference }
}

fn side(recording: &Recording, total: Usage) -> Side {
    Side {
        source: recording.header.source,
        mode: recording.header.mode,
        command: recording.header.target.command.clone(),
        duration_seconds: recording.duration_ns() as f64 / 1e9,
        snapshot_count: recording.snapshots.len(),
        sample_period_bytes: recording.header.settings.sample_period_bytes,
        followed_less: followed_less(recording),
        min_size_bytes: recording.header.settings.min_size_bytes,
        total,
    }
}

fn followed_less(recording: &Recording) -> bool {
    recording.events.iter().any(|event| event.what == EventKind::BudgetStep)
}

fn caveats(before: &Recording, after: &Recording) -> Vec<Caveat> {
    let both = [before, after];
    let differs = |of: fn(&Recording) -> u64| of(before) != of(after);
    let length = both.map(|recording| usage::span_ns(recording) as f64);
    let no_growth = length.contains(&0.0);
    let all = [
        (Caveat::DifferentModes, before.header.mode != after.header.mode),
        (Caveat::LargestStacksOnly, both.iter().any(|side| side.header.source != Source::Leakhound)),
        (
            Caveat::DifferentSampling,
            differs(|recording| recording.header.settings.sample_period_bytes)
                || differs(|recording| recording.header.settings.min_size_bytes)
                || both.into_iter().any(followed_less),
        ),
        (Caveat::NoGrowth, no_growth),
        (Caveat::DifferentDurations, !no_growth && !(0.5..=2.0).contains(&(length[0] / length[1]))),
    ];
    all.into_iter().filter_map(|(caveat, holds)| holds.then_some(caveat)).collect()
}

#[cfg(test)]
mod tests;
