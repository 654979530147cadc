//! The moment of the most live bytes, and who held them.

use crate::recording::History;

use super::{Peak, PeakPart, TimelinePoint};

/// The first moment of the most live bytes, with every stack that had a part in it, the largest first.
pub(super) fn find(timeline: &[TimelinePoint], histories: &[History<'_>]) -> Peak {
    let highest = timeline.iter().enumerate().rev().max_by_key(|(_, point)| point.live_bytes);
    let Some((at, peak)) = highest else { return Peak::default() };
    let mut parts: Vec<PeakPart> = histories
        .iter()
        .filter_map(|history| {
            let bytes = history.sample(&[at], |counters| counters.live_bytes)[0];
            let percent = 100.0 * bytes as f64 / peak.live_bytes as f64;
            (bytes > 0).then_some(PeakPart { stack_id: history.stack.id, bytes, percent })
        })
        .collect();
    parts.sort_by_key(|part| (std::cmp::Reverse(part.bytes), part.stack_id));
    Peak { at_seconds: peak.at_seconds, total_bytes: peak.live_bytes, parts }
}
