//! The way from a recording to an analysis, step by step.

use std::collections::BTreeMap;

use crate::recording::{self, Recording};

use super::{
    Analysis, Block, Class, Evidence, FORMAT, Finding, Overhead, Target, Verdict, VerdictName, alert,
    frames::{self, Paths},
    peak,
    series::{Grid, Series},
    totals,
};

/// What to show of an analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Show the allocator's own frames too.
    pub all_frames: bool,
    /// Keep only so many findings; all when absent. Verdict, totals, peak and alerts are of all stacks in any case.
    pub top: Option<usize>,
}

/// Judges a recording. The same recording gives the same analysis: no clock, no randomness, no I/O.
pub fn analyze(recording: &Recording, options: &Options) -> Analysis {
    let histories = recording.histories();
    let grid = Grid::over(&recording.snapshots);
    let series: Vec<Series<'_>> = histories.iter().map(|history| Series::of(history, &grid)).collect();
    let paths = Paths::of(&recording.modules);
    let timeline = totals::timeline(&recording.snapshots);
    let mut findings: Vec<Finding> =
        series.iter().map(|series| finding(series, recording, &paths, options)).collect();
    findings.sort_by(|a, b| {
        (a.class, b.growth_bytes_per_hour, b.live_bytes)
            .partial_cmp(&(b.class, a.growth_bytes_per_hour, a.live_bytes))
            .unwrap_or(std::cmp::Ordering::Equal)
            .then(a.stack_id.cmp(&b.stack_id))
    });
    findings.truncate(options.top.unwrap_or(usize::MAX));
    for (at, finding) in findings.iter_mut().enumerate() {
        finding.rank = at + 1;
    }
    Analysis {
        format: FORMAT.to_owned(),
        source: recording.header.source,
        mode: recording.header.mode,
        target: target(&recording.header.target),
        started_unix_ms: recording.header.started_unix_ms,
        duration_seconds: seconds(recording.duration_ns()),
        snapshot_count: recording.snapshots.len(),
        verdict: Verdict {
            name: VerdictName::Inconclusive,
            confidence_percent: 0,
            reasons: Vec::new(),
            seconds_to_limit: None,
        },
        totals: totals::at_end(&histories),
        peak: peak::find(&timeline, &histories),
        timeline,
        alerts: alert::all(&series),
        findings,
        ledger: ledger(recording),
        overhead: overhead(recording),
    }
}

fn finding(series: &Series<'_>, recording: &Recording, paths: &Paths<'_>, options: &Options) -> Finding {
    let last = series.history.last().cloned().unwrap_or_default();
    let stack = series.history.stack;
    Finding {
        rank: 0,
        stack_id: stack.id,
        class: if series.grew_every_snapshot { Class::Suspected } else { Class::Inconclusive },
        evidence: Evidence { growing_share: series.growing_share, ..Evidence::default() },
        live_bytes: last.live_bytes,
        live_count: last.live_count,
        allocated_bytes: last.allocated_bytes,
        allocated_count: last.allocated_count,
        first_live_bytes: series.first(),
        last_live_bytes: series.last(),
        growth_bytes_per_hour: 0.0,
        grew_every_snapshot: series.grew_every_snapshot,
        frames: frames::shown(&stack.frames, paths, options.all_frames),
        cut_short: stack.cut_short.clone(),
        blocks: blocks(recording, stack.id),
    }
}

fn blocks(recording: &Recording, stack: u32) -> Vec<Block> {
    let Some(end) = &recording.end else { return Vec::new() };
    let mut blocks: Vec<&recording::Block> = end.blocks.iter().filter(|block| block.stack == stack).collect();
    blocks.sort_by_key(|block| (block.allocated_ns, block.address));
    let block = |block: &recording::Block| Block {
        address: format!("{:#x}", block.address),
        size_bytes: block.size_bytes,
        age_seconds: seconds(end.time_ns.saturating_sub(block.allocated_ns)),
        pid: block.pid,
        tid: block.tid,
    };
    blocks.into_iter().map(block).collect()
}

fn target(target: &recording::Target) -> Target {
    Target {
        pids: target.pids.clone(),
        command: target.command.clone(),
        container: target.container.clone(),
        memory_limit_bytes: target.memory_limit_bytes,
    }
}

/// The tracer's last word, and what the reader left out.
fn ledger(recording: &Recording) -> BTreeMap<String, u64> {
    let mut ledger = recording.snapshots.last().map(|snapshot| snapshot.ledger.clone()).unwrap_or_default();
    ledger.extend(recording.skipped.iter().map(|(skip, count)| (skip.key().to_owned(), count)));
    ledger
}

fn overhead(recording: &Recording) -> Overhead {
    let Some(end) = &recording.end else { return Overhead::default() };
    let overhead = end.overhead;
    let duration = seconds(recording.duration_ns());
    Overhead {
        attach_seconds: seconds(overhead.attach_ns),
        detach_seconds: seconds(overhead.detach_ns),
        events: overhead.events,
        events_per_second: if duration > 0.0 { overhead.events as f64 / duration } else { 0.0 },
        probe_nanoseconds: if overhead.probe_ns.is_finite() { overhead.probe_ns } else { 0.0 },
    }
}

pub(super) fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
