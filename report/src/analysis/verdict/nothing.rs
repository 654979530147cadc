//! Verdicts that find nothing, and how far that goes.

use crate::{amount, recording::Mode};

use super::{Case, Class, Opinion, VerdictName, classify};

/// What growth mode is asked, and the answer is no: not one page, and nothing lost that could have been one.
pub(super) fn did_not_grow(case: &Case<'_>) -> Option<Opinion> {
    /// What the program does when it has something to do, nobody saw.
    const MOST: u8 = 70;
    let recording = case.recording;
    let watched = recording.header.mode == Mode::Growth
        && recording.snapshots.len() >= classify::ENOUGH_SNAPSHOTS
        && case.doubts.deductions.is_empty();
    let level = case.memory.is_none_or(|memory| !memory.is_material(memory.changed));
    if !watched || !level || case.totals.allocated_count > 0 {
        return None;
    }
    let time = amount::seconds(recording.duration_ns() as f64 / 1e9);
    let reasons = vec![
        format!("The kernel gave the program not one page of memory in {time}: it did not grow."),
        format!("{} Watch it under load, if it was idle.", room_left(&time)),
    ];
    Some((VerdictName::NoLeakObserved, MOST, reasons))
}

pub(super) fn nothing_seen(case: &Case<'_>) -> Option<Opinion> {
    let header = &case.recording.header;
    let reason = match header.settings.sample_period_bytes {
        _ if header.mode == Mode::Growth => {
            "The program took no page of memory, but too little was seen to say that it does not grow: watch for longer."
                .to_owned()
        }
        0 => "No allocation was seen: the program was idle, or it allocates by means that were not watched."
            .to_owned(),
        period => format!(
            "No block was drawn: the program was idle, allocated less than some {}, or by means that were not watched. Sample \
             finer ({}), or watch for longer.",
            amount::bytes(period.saturating_mul(3)),
            case.sample_option()
        ),
    };
    (case.totals.allocated_count == 0).then(|| (VerdictName::Inconclusive, 0, vec![reason]))
}

pub(super) fn nothing_grew(case: &Case<'_>) -> Opinion {
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
        Mode::Growth => room_left(&watched),
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

fn room_left(watched: &str) -> String {
    format!(
        "A leak that still finds room in memory which the program has already would not show in {watched}."
    )
}
