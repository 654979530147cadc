//! From the classes of all stacks, the memory of the process and the doubts to one verdict: a chain of checks, the first
//! that applies decides. None may say more than the recording can bear.

use crate::{
    amount,
    recording::{EventKind, Mode, Recording},
};

use super::{
    Class, Finding, TimelinePoint, Totals, Verdict, VerdictName, classify, confidence::Doubts, limit,
    observation::Observation, reconcile::Reconciliation, retention,
};

/// Everything a verdict rests on.
pub(super) struct Case<'a> {
    pub(super) recording: &'a Recording,
    pub(super) timeline: &'a [TimelinePoint],
    pub(super) totals: &'a Totals,
    pub(super) peak_live: u64,
    /// All findings, the most suspicious first.
    pub(super) findings: &'a [Finding],
    /// The live bytes of all stacks together, looked at like one stack.
    pub(super) whole: &'a Observation<'a>,
    pub(super) memory: Option<&'a Reconciliation>,
    pub(super) doubts: &'a Doubts,
}

/// A verdict before doubts are taken off: name, confidence in percent, reasons.
type Opinion = (VerdictName, u8, Vec<String>);
type Check = fn(&Case<'_>) -> Option<Opinion>;

/// The checks in their order: first what forbids any verdict, then what explains most of the memory.
const CHECKS: &[(&str, Check)] = &[
    ("too short", too_short),
    ("not to be trusted", not_to_be_trusted),
    ("nothing seen", nothing_seen),
    ("old memory turned over", turnover),
    ("far more memory outside", mostly_off_heap),
    ("leak", leak),
    ("strong suspicion", strong_suspicion),
    ("kept by the allocator", retained),
    ("outside the allocators", off_heap),
    ("growth without a name", unexplained),
];

/// The verdict on the whole target.
pub(super) fn verdict(case: &Case<'_>) -> Verdict {
    let (name, confidence, mut reasons) =
        CHECKS.iter().find_map(|(_, check)| check(case)).unwrap_or_else(|| nothing_grew(case));
    reasons.extend(case.memory.and_then(Reconciliation::sentence));
    if case.recording.events.iter().any(|event| event.what == EventKind::OutOfMemory) {
        reasons
            .push("The kernel killed a process of the target for lack of memory during the run.".to_owned());
    }
    reasons.extend(case.doubts.deductions.iter().map(|(_, reason)| reason.clone()));
    let confidence_percent =
        if name == VerdictName::Inconclusive { 0 } else { case.doubts.lower(confidence) };
    let leak_rate = alarms(case).map(|finding| finding.growth_bytes_per_hour.max(0.0)).sum::<f64>() / 3600.0;
    let seconds_to_limit = limit::seconds_to_limit(case.recording, case.timeline, leak_rate);
    Verdict { name, confidence_percent, reasons, seconds_to_limit }
}

fn too_short(case: &Case<'_>) -> Option<Opinion> {
    let count = case.recording.snapshots.len();
    let reason = format!(
        "{count} snapshots are too few to tell growth from chance: at least 3 are needed, 10 are good."
    );
    (count < 3).then(|| (VerdictName::Inconclusive, 0, vec![reason]))
}

fn not_to_be_trusted(case: &Case<'_>) -> Option<Opinion> {
    let fatal = &case.doubts.fatal;
    (!fatal.is_empty()).then(|| (VerdictName::Inconclusive, 0, fatal.clone()))
}

fn nothing_seen(case: &Case<'_>) -> Option<Opinion> {
    let reason =
        "No allocation was seen: the program was idle, or it allocates by means that were not watched.";
    (case.totals.allocated_count == 0).then(|| (VerdictName::Inconclusive, 0, vec![reason.to_owned()]))
}

/// A full cache whose old entries are from before the probes looks like a leak: new blocks stay, and the frees of the old
/// ones match nothing. Then memory does not grow.
fn turnover(case: &Case<'_>) -> Option<Opinion> {
    let memory = case.memory?;
    let live = memory.live.1.saturating_sub(memory.live.0);
    let anonymous = memory.anonymous.1.saturating_sub(memory.anonymous.0);
    let unmatched =
        case.recording.snapshots.last()?.ledger.get("unmatchedFrees").copied().unwrap_or_default();
    let replaced = unmatched as f64 >= 0.5 * case.totals.live_count as f64;
    if !memory.is_material(live as f64) || anonymous as f64 > 0.25 * live as f64 || !replaced {
        return None;
    }
    let reason = format!(
        "{} of new blocks stay, but {unmatched} older blocks were freed and memory did not grow: this may be a full cache \
         that turns over. Watch for longer.",
        amount::bytes(live)
    );
    Some((VerdictName::Inconclusive, 0, vec![reason]))
}

fn mostly_off_heap(case: &Case<'_>) -> Option<Opinion> {
    let leaked: u64 =
        alarms(case).map(|finding| finding.last_live_bytes.saturating_sub(finding.first_live_bytes)).sum();
    let memory = case.memory?;
    if memory.unexplained.max(memory.mapped) < 4.0 * leaked as f64 {
        return None;
    }
    let (name, confidence, mut reasons) = off_heap(case)?;
    if leaked > 0 {
        reasons.push(format!("Beside that, stacks that look like leaks grew by {}.", amount::bytes(leaked)));
    }
    Some((name, confidence, reasons))
}

fn leak(case: &Case<'_>) -> Option<Opinion> {
    let leaks: Vec<&Finding> = case.findings.iter().filter(|finding| finding.class == Class::Leak).collect();
    let first = leaks.first()?;
    let confidence = if case.recording.snapshots.len() >= 10 { 95 } else { 85 };
    Some((VerdictName::LeakLikely, confidence, accuse("lose memory steadily", &leaks, first)))
}

fn strong_suspicion(case: &Case<'_>) -> Option<Opinion> {
    const ENOUGH_SNAPSHOTS: usize = 8;
    let suspects: Vec<&Finding> = alarms(case)
        .filter(|finding| finding.grew_every_snapshot || finding.evidence.growing_share >= 0.9)
        .collect();
    let first = suspects.first()?;
    let enough =
        case.recording.snapshots.len() >= ENOUGH_SNAPSHOTS && case.recording.header.mode != Mode::Growth;
    enough.then(|| (VerdictName::LeakLikely, 70, accuse("grew in nearly every snapshot", &suspects, first)))
}

fn accuse(what: &str, findings: &[&Finding], first: &Finding) -> Vec<String> {
    let name = first.frames.first().map_or("a stack without frames", |frame| frame.function.as_str());
    let rate: f64 = findings.iter().map(|finding| finding.growth_bytes_per_hour).sum::<f64>() / 3600.0;
    let who = match findings.len() {
        1 => format!("1 stack seems to {what}: {name}, {}.", amount::rate(rate)),
        count => {
            format!("{count} stacks seem to {what}, {} together; the first is {name}.", amount::rate(rate))
        }
    };
    vec![who, first.evidence.because.clone()]
}

fn retained(case: &Case<'_>) -> Option<Opinion> {
    let memory = case.memory?;
    if !memory.is_material(memory.unexplained) || !memory.is_retained(case.peak_live, case.totals) {
        return None;
    }
    let mut reasons = vec![format!(
        "The program freed what it took ({} live at most, {} in the end), but {} of anonymous memory are still resident.",
        amount::bytes(case.peak_live),
        amount::bytes(memory.live.1),
        amount::bytes(memory.anonymous.1)
    )];
    reasons.extend(retention::knobs(&case.recording.header.allocators));
    Some((VerdictName::AllocatorRetention, 80, reasons))
}

fn off_heap(case: &Case<'_>) -> Option<Opinion> {
    let memory = case.memory?;
    let heap = format!("the heap by {}", amount::change(memory.live.0, memory.live.1));
    if memory.growing
        && memory.is_material(memory.unexplained)
        && !memory.is_retained(case.peak_live, case.totals)
    {
        let grown = amount::change(memory.anonymous.0, memory.anonymous.1);
        let reason = format!(
            "Anonymous memory changed by {grown}, {heap}: it grows past the watched allocators, by mmap or by an allocator of \
             its own. Growth mode shows the stacks."
        );
        return Some((VerdictName::OffHeapGrowth, 80, vec![reason]));
    }
    if memory.mapped_growing && memory.is_material(memory.mapped) {
        let reason = format!(
            "Resident memory of files and shared memory grew by {}: not the heap, and the kernel can drop most of it.",
            bytes(memory.mapped)
        );
        return Some((VerdictName::OffHeapGrowth, 70, vec![reason]));
    }
    None
}

fn unexplained(case: &Case<'_>) -> Option<Opinion> {
    const WORTH_A_WORD: u64 = 64 << 10;
    let whole = case.timeline.last()?.live_bytes.saturating_sub(case.timeline.first()?.live_bytes);
    let grown = |finding: &&Finding| {
        let grown = finding.last_live_bytes.saturating_sub(finding.first_live_bytes);
        let again = finding.class != Class::Step
            || finding.evidence.growing_share * case.recording.snapshots.len() as f64 >= 2.0;
        match finding.class {
            Class::Suspected => true,
            Class::Step | Class::Inconclusive => again && grown >= WORTH_A_WORD.max(whole / 4),
            _ => false,
        }
    };
    let growing: Vec<&Finding> = case.findings.iter().filter(grown).collect();
    if let Some(first) = growing.first() {
        let confidence = if first.class == Class::Suspected { 60 } else { 50 };
        return Some((
            VerdictName::GrowthUnexplained,
            confidence,
            accuse("grow without a clear pattern", &growing, first),
        ));
    }
    let decision = classify::classify(case.whole);
    let together = decision.class == Class::Suspected && whole >= WORTH_A_WORD;
    let reason = || {
        format!(
            "No single stack stands out, but together they grew by {}. {}",
            amount::bytes(whole),
            decision.because
        )
    };
    together.then(|| (VerdictName::GrowthUnexplained, 50, vec![reason()]))
}

fn nothing_grew(case: &Case<'_>) -> Opinion {
    let count =
        |classes: &[Class]| case.findings.iter().filter(|finding| classes.contains(&finding.class)).count();
    let watched = case.recording.duration_ns() as f64 / 1e9;
    let mut reasons = vec![format!(
        "Of {} stacks none loses memory: {} are level or were freed, {} are purged again and again.",
        case.findings.len(),
        count(&[Class::Plateau, Class::Transient]),
        count(&[Class::Sawtooth]),
    )];
    let unclear = count(&[Class::Saturating, Class::Step, Class::Inconclusive]);
    if unclear > 0 {
        reasons.push(format!("{unclear} grew, but ever more slowly, in few jumps, or too little to tell."));
    }
    // A leak that shows itself once an hour cannot be seen in a minute.
    let confidence = match watched {
        ..30.0 => 70,
        30.0..300.0 => 80,
        300.0..3600.0 => 90,
        _ => 95,
    };
    reasons.push(format!(
        "A leak slower than a block every few seconds would not show in {}.",
        amount::seconds(watched)
    ));
    (VerdictName::NoLeakObserved, confidence, reasons)
}

fn alarms<'a>(case: &'a Case<'_>) -> impl Iterator<Item = &'a Finding> {
    case.findings.iter().filter(|finding| matches!(finding.class, Class::Leak | Class::Suspected))
}

fn bytes(amount: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates; never negative"
    )]
    let whole = amount.max(0.0).round() as u64;
    amount::bytes(whole)
}

#[cfg(test)]
mod tests;
