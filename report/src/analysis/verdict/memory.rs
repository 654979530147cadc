//! Verdicts that rest on what the kernel accounts for, more than on any stack.

use crate::{amount, recording::Mode};

use super::{Case, Class, Finding, Opinion, Reconciliation, VerdictName, alarms, bytes, retention};

pub(super) fn mostly_off_heap(case: &Case<'_>) -> Option<Opinion> {
    let leaked = grown(alarms(case));
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

pub(super) fn retained(case: &Case<'_>) -> Option<Opinion> {
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

pub(super) fn off_heap(case: &Case<'_>) -> Option<Opinion> {
    let memory = case.memory?;
    let heap = format!("the heap by {}", amount::change(memory.live.0, memory.live.1));
    let material = memory.growing && memory.is_material(memory.unexplained);
    if (material || memory.is_surely_foreign()) && !memory.is_retained(case.peak_live, case.totals) {
        let grown = bytes(memory.changed);
        let reason = match case.recording.header.mode {
            Mode::Growth => format!(
                "Anonymous memory grew by {grown}, fresh pages by {}: the rest was copied after a fork, or swapped in.",
                amount::change(memory.live.0, memory.live.1)
            ),
            _ => format!(
                "Anonymous memory grew by {grown}, {heap}: it grows past the watched allocators, by mmap or by an allocator \
                 of its own, such as Python's. Growth mode ({}) shows the stacks.",
                case.growth_option()
            ),
        };
        return Some((VerdictName::OffHeapGrowth, if material { 80 } else { 60 }, vec![reason]));
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

/// How much they grew together. It saturates: a hostile file may hold any numbers.
fn grown<'a>(findings: impl Iterator<Item = &'a Finding>) -> u64 {
    let grown = |finding: &Finding| finding.last_live_bytes.saturating_sub(finding.first_live_bytes);
    findings.map(grown).fold(0, u64::saturating_add)
}

/// Where to look when the heap is fine and memory grows all the same, by too little for a verdict.
pub(super) fn elsewhere(case: &Case<'_>) -> Option<String> {
    let grows =
        case.recording.header.mode == Mode::Heap && case.memory.is_some_and(Reconciliation::is_foreign);
    grows.then(|| {
        format!(
            "It grows steadily and not by the heap: perhaps by an allocator of the program's own, such as Python's. Growth mode \
             ({}) shows where.",
            case.growth_option()
        )
    })
}

/// Memory grew, and whether the heap did the sample is too coarse to say.
pub(super) fn too_coarse(case: &Case<'_>) -> Option<Opinion> {
    let memory = case.memory?;
    let told = case.findings.iter().filter(|finding| finding.class != Class::Inconclusive);
    let open = memory.changed - grown(told) as f64;
    if !memory.growing || !memory.is_material(open) || open < memory.changed / 2.0 || memory.blur <= 0.0 {
        return None;
    }
    let reason = format!(
        "Memory grew by {}, but the sample is too coarse to say whether the heap did: too few blocks were drawn. Sample finer \
         ({}), or watch for longer.",
        bytes(memory.changed),
        case.sample_option()
    );
    Some((VerdictName::Inconclusive, 0, vec![reason]))
}
