//! From the classes of all stacks, the memory of the process and the doubts to one verdict: a chain of checks, the first
//! that applies decides. None may say more than the recording can bear.

use crate::{
    amount, origin,
    recording::{EventKind, Mode, Recording, Source},
};

use super::{
    Class, Finding, TimelinePoint, Totals, Verdict, VerdictName, classify, confidence::Doubts, limit,
    observation::Observation, reconcile::Reconciliation, retention, trend::Slope, turnover::Turnover,
};

/// Everything a verdict rests on.
pub(super) struct Case<'a> {
    pub(super) recording: &'a Recording,
    pub(super) timeline: &'a [TimelinePoint],
    pub(super) totals: &'a Totals,
    pub(super) peak_live: u64,
    /// All findings, the most suspicious first.
    pub(super) findings: &'a [Finding],
    /// Stacks without a trend that leave a few blocks behind now and then.
    pub(super) stragglers: usize,
    /// The live bytes of all stacks together, looked at like one stack.
    pub(super) whole: &'a Observation<'a>,
    pub(super) memory: Option<&'a Reconciliation>,
    pub(super) turnover: Option<Turnover>,
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
    if !matches!(name, VerdictName::OffHeapGrowth | VerdictName::AllocatorRetention) {
        reasons.extend(case.memory.and_then(Reconciliation::sentence)); // these two have said it better
    }
    reasons.extend(cannot_tell(case.recording).map(str::to_owned));
    if case.recording.events.iter().any(|event| event.what == EventKind::OutOfMemory) {
        reasons
            .push("The kernel killed a process of the target for lack of memory during the run.".to_owned());
    }
    reasons.extend(case.doubts.deductions.iter().map(|(_, reason)| reason.clone()));
    let confidence_percent =
        if name == VerdictName::Inconclusive { 0 } else { case.doubts.lower(confidence) };
    let limit = limit::until(case.recording, case.timeline, leak_rate(case));
    Verdict {
        name,
        confidence_percent,
        reasons,
        seconds_to_limit: limit.map(|limit| limit.seconds),
        seconds_to_limit_interval: limit.map(|limit| limit.interval),
    }
}

/// What no verdict of this mode can tell.
fn cannot_tell(recording: &Recording) -> Option<&'static str> {
    match (recording.header.mode, recording.header.source) {
        (Mode::Growth, _) => Some(
            "Growth mode sees pages that the program takes and gives back, not blocks: whether what grew is leaked, cached, or \
             kept by an allocator or garbage collector, it cannot tell. Heap mode can where malloc or its like is used.",
        ),
        (Mode::Kernel, Source::Leakhound) => Some(
            "Memory that the kernel takes back by itself, such as page cache and inodes, and the pages of programs are left out.",
        ),
        _ => None,
    }
}

/// What leaks and what is suspected to, together, with the sums of their bounds.
fn leak_rate(case: &Case<'_>) -> Slope {
    let none = Slope { per_second: 0.0, low: 0.0, high: 0.0 };
    alarms(case).fold(none, |sum, finding| {
        let rate = finding.growth_bytes_per_hour.max(0.0) / 3600.0;
        let interval = finding.evidence.slope_interval_bytes_per_hour;
        let (low, high) = interval.map_or((rate, rate), |(low, high)| (low / 3600.0, high / 3600.0));
        Slope {
            per_second: sum.per_second + rate,
            low: sum.low + low.max(0.0).min(rate),
            high: sum.high + high.max(rate),
        }
    })
}

fn too_short(case: &Case<'_>) -> Option<Opinion> {
    let count = case.recording.snapshots.len();
    let let_go = case.recording.end.as_ref().is_some_and(|end| end.reason == "budget");
    let reason = if let_go {
        let watched = amount::seconds(case.recording.duration_ns() as f64 / 1e9);
        format!("Watching ended after {watched}: it cost more than its budget.")
    } else {
        format!(
            "{} too few to tell growth from chance: at least 3 are needed, 10 are good.",
            amount::counted(count, "snapshot is", "snapshots are")
        )
    };
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

fn turnover(case: &Case<'_>) -> Option<Opinion> {
    case.turnover.map(|turnover| (VerdictName::Inconclusive, 0, vec![turnover.sentence()]))
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
    leaks.first()?;
    let confidence = match case.recording.snapshots.len() {
        ..10 => 80,
        10..20 => 90,
        _ => 95,
    };
    let mut reasons = accuse(("loses", "lose"), "memory steadily", &leaks);
    let Some(small) = beside_the_rest(case, &leaks) else {
        return Some((VerdictName::LeakLikely, confidence, reasons));
    };
    reasons.push(small);
    Some((VerdictName::LeakLikely, confidence - 20, reasons))
}

/// Says so when what is lost is less than a hundredth of what the heap swings by: then one large block forgotten for a
/// while weighs more, and what looks like a loss may be the book-keeping of what swings.
fn beside_the_rest(case: &Case<'_>, leaks: &[&Finding]) -> Option<String> {
    let live = || case.timeline.iter().map(|point| point.live_bytes);
    let swing = live().max()? - live().min()?;
    let lost = leaks.iter().map(|finding| finding.last_live_bytes.saturating_sub(finding.first_live_bytes));
    let lost = lost.fold(0, u64::saturating_add);
    (lost < swing / 100).then(|| {
        let (lost, swing) = (amount::bytes(lost), amount::bytes(swing));
        format!("That is little beside the rest of the heap: {lost}, while live bytes swing by {swing}.")
    })
}

fn strong_suspicion(case: &Case<'_>) -> Option<Opinion> {
    const ENOUGH_SNAPSHOTS: usize = 8;
    let suspects: Vec<&Finding> = alarms(case)
        .filter(|finding| finding.grew_every_snapshot || finding.evidence.growing_share >= 0.9)
        .collect();
    suspects.first()?;
    let enough =
        case.recording.snapshots.len() >= ENOUGH_SNAPSHOTS && case.recording.header.mode == Mode::Heap;
    enough.then(|| {
        (VerdictName::LeakLikely, 70, accuse(("grew", "grew"), "in nearly every snapshot", &suspects))
    })
}

/// Who does it, how fast, and why we think so. `verb` is that of one stack and that of several.
fn accuse(verb: (&str, &str), how: &str, findings: &[&Finding]) -> Vec<String> {
    let Some(first) = findings.first() else { return Vec::new() };
    let rate: f64 = findings.iter().map(|finding| finding.growth_bytes_per_hour).sum::<f64>() / 3600.0;
    let name = name(first);
    let rate = if rate > 0.0 { format!(", {}", amount::rate(rate)) } else { String::new() };
    let who = match findings.len() {
        1 => format!("1 stack {} {how}{rate}: {name}.", verb.0),
        count => format!("{count} stacks {} {how}{rate} together; the first is {name}.", verb.1),
    };
    vec![who, first.evidence.because.clone()]
}

/// The innermost function of the program itself, with its place: nobody goes looking for a leak in strdup.
fn name(finding: &Finding) -> String {
    let title = origin::own(&finding.frames).iter().position(|own| *own).unwrap_or(0);
    match finding.frames.get(title) {
        Some(frame) => match (&frame.file, frame.line) {
            (Some(file), Some(line)) => {
                format!("{} ({}:{line})", frame.function, file.rsplit('/').next().unwrap_or(file))
            }
            _ => frame.function.clone(),
        },
        None => "a stack without frames".to_owned(),
    }
}

fn retained(case: &Case<'_>) -> Option<Opinion> {
    let memory = case.memory.filter(|_| case.recording.header.mode == Mode::Heap)?;
    if !memory.is_material(memory.unexplained) || !memory.is_retained(case.peak_live, case.totals) {
        return None;
    }
    let resident = case.timeline.last().and_then(|point| point.anonymous_bytes).unwrap_or_default();
    let mut reasons = vec![format!(
        "The program freed what it took ({} live at most, {} in the end), but {} of anonymous memory are still resident.",
        amount::bytes(case.peak_live),
        amount::bytes(memory.live.1),
        amount::bytes(resident)
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
        let grown = bytes(memory.changed);
        let reason = match case.recording.header.mode {
            Mode::Growth => format!(
                "Anonymous memory grew by {grown}, fresh pages by {}: the rest was copied after a fork, or swapped in.",
                amount::change(memory.live.0, memory.live.1)
            ),
            _ => format!(
                "Anonymous memory grew by {grown}, {heap}: it grows past the watched allocators, by mmap or by an allocator \
                 of its own. Growth mode (--mode growth) shows the stacks."
            ),
        };
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
        let reasons = match case.recording.header.mode {
            Mode::Growth => accuse(("makes", "make"), "the program larger", &growing),
            _ => accuse(("grows", "grow"), "without a clear pattern", &growing),
        };
        return Some((VerdictName::GrowthUnexplained, confidence, reasons));
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
    /// Draws of one stack until its growth can be told from chance: their sum is then known to a third or so.
    const DRAWN_OFTEN_ENOUGH: u64 = 10;
    let count =
        |classes: &[Class]| case.findings.iter().filter(|finding| classes.contains(&finding.class)).count();
    let watched = case.recording.duration_ns() as f64 / 1e9;
    let parts = [
        (count(&[Class::Plateau, Class::Transient]), "level or freed"),
        (count(&[Class::Sawtooth]), "purged again and again"),
        (count(&[Class::Saturating]), "growing ever more slowly"),
        (count(&[Class::Step]), "grown in a few jumps"),
        (count(&[Class::Inconclusive]), "too little or too irregular to tell"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let mut reasons = vec![format!("No stack loses memory: {}.", parts.join(", "))];
    // A leak that shows itself once an hour cannot be seen in a minute.
    let confidence = match watched {
        ..30.0 => 70,
        30.0..300.0 => 80,
        300.0..3600.0 => 90,
        _ => 95,
    };
    let watched = amount::seconds(watched);
    let period = case.recording.header.settings.sample_period_bytes;
    reasons.push(match case.recording.header.mode {
        _ if period > 0 => format!(
            "A leak of less than about {} in these {watched} would not show, as too few of its blocks are drawn: watch for longer, or follow a finer sample.",
            amount::bytes(period.saturating_mul(DRAWN_OFTEN_ENOUGH))
        ),
        Mode::Growth => format!(
            "A leak that still finds room in memory which the program has already would not show in {watched}."
        ),
        _ => format!("A leak slower than a block every few seconds would not show in {watched}."),
    });
    if case.stragglers > 0 {
        reasons.push(format!(
            "{} a few blocks behind now and then, too rarely to tell from chance: watch for longer to be sure.",
            amount::counted(case.stragglers, "stack leaves", "stacks leave")
        ));
        return (VerdictName::NoLeakObserved, confidence.min(60), reasons);
    }
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
