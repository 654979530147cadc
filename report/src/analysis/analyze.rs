//! The way from a recording to an analysis, step by step.

use std::collections::{BTreeMap, HashMap};

use crate::{
    amount,
    recording::{self, Mode, Recording},
};

use super::{
    Analysis, Block, Class, FORMAT, Finding, Frame, Overhead, Target, Texts, alert,
    classify::{self, Decision},
    cohort::Stretches,
    confidence, draws,
    frames::{self, Paths},
    observation::Observation,
    peak,
    reconcile::Reconciliation,
    series::{Grid, Series},
    totals,
    turnover::Turnover,
    verdict::{self, Case},
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
    let stretches = Stretches::of(recording, &grid);
    let series: Vec<Series<'_>> = histories.iter().map(|history| Series::of(history, &grid)).collect();
    let timeline = totals::timeline(&recording.snapshots);
    let totals = totals::at_end(&histories);
    let peak = peak::find(&timeline, &histories);
    let paths = Paths::of(&recording.modules);
    let mut texts = Texts::default();
    let mut blocks = blocks(recording);
    let mut stragglers = 0;
    let mut findings: Vec<Finding> = series
        .iter()
        .map(|series| {
            let observation = Observation::of(series, &grid, stretches.as_ref(), recording.header.mode);
            let stack = series.history.stack;
            let frames = frames::shown(&stack.frames, &paths, options.all_frames, &mut texts);
            let blocks = blocks.remove(&stack.id).unwrap_or_default();
            let finding = finding(series, &observation, frames, blocks);
            stragglers += usize::from(finding.class == Class::Plateau && observation.leaves_some());
            finding
        })
        .collect();
    // what the kernel allocates for a process is no part of that process's memory
    let comparable = recording.header.mode != Mode::Kernel;
    let period = recording.header.settings.sample_period_bytes;
    let blur = draws::blur(totals.live_error_bytes.unwrap_or_default(), period);
    let memory =
        comparable.then(|| Reconciliation::of(&recording.snapshots, &timeline, &series, blur)).flatten();
    let turnover = Turnover::find(recording, &series, memory.as_ref());
    if let Some(turnover) = turnover {
        findings.iter_mut().for_each(|finding| turnover.excuse(finding));
    }
    rank(&mut findings);
    let whole = totals::observation(&timeline, &grid, recording.header.mode);
    let verdict = verdict::verdict(&Case {
        recording,
        timeline: &timeline,
        totals: &totals,
        peak_live: peak.total_bytes,
        findings: &findings,
        stragglers,
        whole: &whole,
        memory: memory.as_ref(),
        turnover,
        doubts: &confidence::doubts(recording, totals.allocated_count),
    });
    findings.truncate(options.top.unwrap_or(usize::MAX));
    Analysis {
        format: FORMAT.to_owned(),
        source: recording.header.source,
        mode: recording.header.mode,
        target: target(&recording.header.target),
        started_unix_ms: recording.header.started_unix_ms,
        duration_seconds: seconds(recording.duration_ns()),
        snapshot_count: recording.snapshots.len(),
        verdict,
        totals,
        peak,
        timeline,
        alerts: alert::all(&series),
        findings,
        ledger: ledger(recording),
        overhead: overhead(recording),
    }
}

fn finding(
    series: &Series<'_>,
    observation: &Observation<'_>,
    frames: Vec<Frame>,
    blocks: Vec<Block>,
) -> Finding {
    let last = &observation.last;
    let Decision { class, because, slope } = heed_error(
        classify::classify(observation),
        last.live_error_bytes,
        series.last().saturating_sub(series.first()),
    );
    Finding {
        rank: 0,
        stack_id: series.history.stack.id,
        class,
        evidence: observation.evidence(because, slope),
        live_bytes: last.live_bytes,
        live_count: last.live_count,
        live_error_bytes: (last.live_error_bytes > 0).then_some(last.live_error_bytes),
        allocated_bytes: last.allocated_bytes,
        allocated_count: last.allocated_count,
        first_live_bytes: series.first(),
        last_live_bytes: series.last(),
        growth_bytes_per_hour: slope.map_or(0.0, |slope| slope.per_second * 3600.0),
        grew_every_snapshot: series.grew_every_snapshot,
        frames,
        cut_short: series.history.stack.cut_short.clone(),
        blocks,
    }
}

/// Nobody is accused of a growth that the sample's own error explains.
fn heed_error(decision: Decision, error: u64, grown: u64) -> Decision {
    if error == 0 || !decision.class.is_alarm() || grown >= error.saturating_mul(2) {
        return decision;
    }
    let because = format!(
        "It seems to grow by {}, but only a sample was followed, and its error is {}: a finer sample or a longer run would \
         tell.",
        amount::bytes(grown),
        amount::bytes(error)
    );
    Decision { class: Class::Inconclusive, because, ..decision }
}

/// The most suspicious first; of alike ones the fastest first while they grow, the largest first once they have settled.
fn rank(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        let (suspicion, by_live) = (suspicion(a), b.live_bytes.cmp(&a.live_bytes));
        let by_growth = b.growth_bytes_per_hour.total_cmp(&a.growth_bytes_per_hour);
        let within = if suspicion.grows() { by_growth.then(by_live) } else { by_live.then(by_growth) };
        suspicion.cmp(&self::suspicion(b)).then(within).then(a.stack_id.cmp(&b.stack_id))
    });
    for (at, finding) in findings.iter_mut().enumerate() {
        finding.rank = at + 1;
    }
}

/// How much a person should care, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Suspicion {
    Leak,
    Suspected,
    /// Grows, and no rule says why.
    Unclear,
    Jumped,
    Slowing,
    Settled,
    Gone,
}

impl Suspicion {
    fn grows(self) -> bool {
        self < Self::Settled
    }
}

fn suspicion(finding: &Finding) -> Suspicion {
    match finding.class {
        Class::Leak => Suspicion::Leak,
        Class::Suspected => Suspicion::Suspected,
        Class::Inconclusive if finding.growth_bytes_per_hour > 0.0 => Suspicion::Unclear,
        Class::Step => Suspicion::Jumped,
        Class::Saturating => Suspicion::Slowing,
        Class::Plateau | Class::Sawtooth | Class::Inconclusive => Suspicion::Settled,
        Class::Transient => Suspicion::Gone,
    }
}

/// The live blocks at the end by their stack, the oldest of each first.
fn blocks(recording: &Recording) -> HashMap<u32, Vec<Block>> {
    let Some(end) = &recording.end else { return HashMap::new() };
    let mut blocks: Vec<&recording::Block> = end.blocks.iter().collect();
    blocks.sort_by_key(|block| (block.allocated_ns, block.address));
    let mut by_stack: HashMap<u32, Vec<Block>> = HashMap::new();
    for block in blocks {
        by_stack.entry(block.stack).or_default().push(Block {
            address: format!("{:#x}", block.address),
            size_bytes: block.size_bytes,
            age_seconds: seconds(end.time_ns.saturating_sub(block.allocated_ns)),
            pid: block.pid,
            tid: block.tid,
        });
    }
    by_stack
}

fn target(target: &recording::Target) -> Target {
    Target {
        pids: target.pids.clone(),
        command: target.command.clone(),
        launched: target.launched,
        container: target.container.clone(),
        pod: target.pod.clone(),
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
    let Some(overhead) = recording.end.as_ref().map(|end| end.overhead) else { return Overhead::default() };
    let duration = seconds(recording.duration_ns());
    Overhead {
        attach_seconds: seconds(overhead.attach_ns),
        detach_seconds: seconds(overhead.detach_ns),
        events: overhead.events,
        events_per_second: if duration > 0.0 { overhead.events as f64 / duration } else { 0.0 },
        probe_nanoseconds: if overhead.probe_ns.is_finite() { overhead.probe_ns } else { 0.0 },
        cpu_before: overhead.cpu_before.filter(|cores| cores.is_finite()),
        cpu_during: overhead.cpu_during.filter(|cores| cores.is_finite()),
        cpu_after: overhead.cpu_after.filter(|cores| cores.is_finite()),
    }
}

pub(super) fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

#[cfg(test)]
mod tests;
