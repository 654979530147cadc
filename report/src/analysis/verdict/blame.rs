//! Verdicts that name stacks.

use crate::{amount, origin, recording::Mode};

use super::{Case, Class, Finding, GOOD_SNAPSHOTS, Opinion, VerdictName, alarms};

pub(super) fn leak(case: &Case<'_>) -> Option<Opinion> {
    let leaks: Vec<&Finding> = case.findings.iter().filter(|finding| finding.class == Class::Leak).collect();
    leaks.first()?;
    let confidence = match case.recording.snapshots.len() {
        ..10 => 80,
        10..GOOD_SNAPSHOTS => 90,
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

pub(super) fn strong_suspicion(case: &Case<'_>) -> Option<Opinion> {
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
pub(super) fn accuse(verb: (&str, &str), how: &str, findings: &[&Finding]) -> Vec<String> {
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
            _ => frame.function.to_string(),
        },
        None => "a stack without frames".to_owned(),
    }
}
