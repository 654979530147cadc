//! What a recording says so far, short enough for a status.

use std::collections::BTreeMap;

use leakhound_crds::{
    Digest, Finding, Frame,
    digest::MAX_FINDINGS,
    investigation::status::{Memory, Overhead, WatchedProcess},
};
use leakhound_report::{
    Options,
    analysis::{self, Analysis},
    analyze,
    recording::Recording,
};
use leakhound_tracer::{investigation::Progress, sampling::Period};

use crate::container;

/// Most frames of a finding and most characters of a name, as the API admits them.
const MOST_FRAMES: usize = 24;
const MOST_CHARACTERS: usize = 200;

/// Counts of the ledger that are no losses, as the report's page tells them from losses.
const PLAIN: [&str; 22] = [
    "allocations",
    "failedAllocations",
    "foreignEvents",
    "framePointerSteps",
    "framesNamed",
    "framesWithLine",
    "frees",
    "lateSnapshots",
    "machineEvents",
    "modulesMatchedByInode",
    "modulesWithoutSymbols",
    "modulesWithoutUnwindTable",
    "nestedCalls",
    "ownEvents",
    "reclaimable",
    "returnsUnmatched",
    "slabPageBytes",
    "smallAllocations",
    "streamLost",
    "unmatchedFrees",
    "unsampledAllocations",
    "walksComplete",
];

/// The memory of the container over the time it was watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MemoryWindow {
    first: Option<container::Memory>,
    last: Option<container::Memory>,
}

impl MemoryWindow {
    /// Takes in what the cgroup says now. One that is gone says nothing, and what it said last stands.
    pub(crate) fn note(&mut self, now: Option<container::Memory>) {
        self.first = self.first.or(now);
        self.last = now.or(self.last);
    }

    /// Processes killed for want of memory in that time.
    pub(crate) fn oom_kills(&self) -> u64 {
        let kills = |memory: Option<container::Memory>| memory.map_or(0, |memory| memory.oom_kills);
        kills(self.last).saturating_sub(kills(self.first))
    }

    fn shown(&self) -> Memory {
        Memory {
            start_bytes: self.first.map(|memory| whole(memory.used)),
            end_bytes: self.last.map(|memory| whole(memory.used)),
            limit_bytes: self.last.and_then(|memory| memory.limit).map(whole),
            oom_kills: Some(i32::try_from(self.oom_kills()).unwrap_or(i32::MAX)),
        }
    }
}

/// What the recording does not hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Seen {
    /// What the container's cgroup says.
    pub(crate) memory: MemoryWindow,
    /// Programs by process, as the container names them.
    pub(crate) programs: BTreeMap<u32, String>,
    /// What watching costs at present, in seconds of one core per second.
    pub(crate) share_of_core: f64,
    /// The present period of sampling in bytes; `None` while every allocation is followed.
    pub(crate) sample_period: Option<u64>,
    /// Snapshots that were taken and left out of the recording that is judged meanwhile.
    pub(crate) snapshots_left_out: usize,
}

impl Seen {
    /// Takes in what the tracer says of itself, and what of its snapshots was left out.
    pub(crate) fn note_tracer(&mut self, now: &Progress, snapshots_left_out: usize) {
        self.share_of_core = now.share_of_core;
        self.sample_period = now.sample_period.map(Period::bytes);
        self.snapshots_left_out = snapshots_left_out;
    }
}

/// Judges a recording as it is.
pub(crate) fn digest(recording: &Recording, seen: &Seen) -> Digest {
    let analysis = analyze(recording, &Options::default());
    let growing: Vec<&analysis::Finding> =
        analysis.findings.iter().filter(|finding| finding.class.is_alarm()).collect();
    let growth: f64 = growing.iter().map(|finding| finding.growth_bytes_per_hour).sum();
    let confidence = i32::from(analysis.verdict.confidence_percent);
    let losses = losses(&analysis);
    Digest {
        verdict: analysis.verdict.name.into(),
        confidence_percent: confidence,
        live_bytes: whole(analysis.totals.live_bytes),
        live_count: whole(analysis.totals.live_count),
        growth_bytes_per_hour: rounded(growth),
        findings_omitted: i32::try_from(growing.len().saturating_sub(MAX_FINDINGS)).unwrap_or(i32::MAX),
        findings: growing.into_iter().take(MAX_FINDINGS).map(|finding| shown(finding, confidence)).collect(),
        events: whole(events(&analysis)),
        overhead: overhead(recording, &analysis, seen, losses.values().sum()),
        losses,
        attach_method: recording.header.host.attach.clone(),
        processes: processes(recording, &seen.programs),
        memory: seen.memory.shown(),
        snapshot_count: i32::try_from(analysis.snapshot_count + seen.snapshots_left_out).unwrap_or(i32::MAX),
        epochs: 1,
    }
}

fn shown(finding: &analysis::Finding, confidence_percent: i32) -> Finding {
    let oldest = finding.blocks.iter().map(|block| block.age_seconds).fold(f64::NAN, f64::max);
    Finding {
        rank: i32::try_from(finding.rank).unwrap_or(i32::MAX),
        pod_name: None,
        class: format!("{:?}", finding.class),
        confidence_percent,
        outstanding_bytes: whole(finding.live_bytes),
        outstanding_count: whole(finding.live_count),
        growth_bytes_per_hour: rounded(finding.growth_bytes_per_hour),
        oldest_age_seconds: oldest.is_finite().then(|| rounded(oldest)),
        stack_id: finding.stack_key().id(),
        frames: finding.frames.iter().take(MOST_FRAMES).map(frame).collect(),
        frames_omitted: i32::try_from(finding.frames.len().saturating_sub(MOST_FRAMES)).unwrap_or(i32::MAX),
    }
}

fn frame(frame: &analysis::Frame) -> Frame {
    Frame {
        function: cut(&frame.function),
        module: cut(file_name(&frame.module)),
        file: frame.file.as_deref().map(cut).unwrap_or_default(),
        line: frame.line.and_then(|line| i32::try_from(line).ok()),
    }
}

fn losses(analysis: &Analysis) -> BTreeMap<String, i64> {
    let lost = analysis.ledger.iter().filter(|(name, count)| **count > 0 && !PLAIN.contains(&name.as_str()));
    lost.map(|(name, count)| (name.clone(), whole(*count))).collect()
}

/// Allocations and frees: known before the end, which alone says how often probes ran.
fn events(analysis: &Analysis) -> u64 {
    let counted = ["allocations", "frees", "unmatchedFrees", "smallAllocations"];
    let sum = counted.iter().filter_map(|name| analysis.ledger.get(*name)).sum();
    analysis.overhead.events.max(sum)
}

fn overhead(recording: &Recording, analysis: &Analysis, seen: &Seen, dropped: i64) -> Overhead {
    let on_average = analysis.overhead.events_per_second * analysis.overhead.probe_nanoseconds / 1e9;
    let of_a_core = if recording.end.is_some() { on_average } else { seen.share_of_core };
    Overhead {
        cpu_permille: i32::try_from(rounded(of_a_core * 1000.0)).unwrap_or(i32::MAX),
        events: whole(events(analysis)),
        dropped,
        bytes_per_sample: seen.sample_period.map(whole),
    }
}

fn processes(recording: &Recording, programs: &BTreeMap<u32, String>) -> Vec<WatchedProcess> {
    let header = &recording.header;
    let allocator =
        header.allocators.first().map(|allocator| allocator.family.chars().take(32).collect::<String>());
    let build_id = |path: &str| {
        let module = recording.modules.iter().find(|module| module.path == path)?;
        module.build_id.as_ref().map(|id| id.chars().take(64).collect())
    };
    let all = header.target.pids.iter().map(|pid| {
        let program = programs.get(pid).map(String::as_str).unwrap_or_default();
        WatchedProcess {
            pid: i32::try_from(*pid).unwrap_or(0),
            exe: cut(program),
            build_id: build_id(program),
            allocator: allocator.clone(),
        }
    });
    all.collect()
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn cut(text: &str) -> String {
    text.chars().take(MOST_CHARACTERS).collect()
}

/// Integers of the API are below 2^53, so that every client reads them exactly.
const LARGEST: i64 = (1 << 53) - 1;

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(LARGEST).min(LARGEST)
}

#[allow(clippy::cast_possible_truncation, reason = "clamped to what an integer holds exactly")]
fn rounded(number: f64) -> i64 {
    let most = LARGEST as f64;
    if number.is_finite() { number.round().clamp(-most, most) as i64 } else { 0 }
}

#[cfg(test)]
mod tests;
