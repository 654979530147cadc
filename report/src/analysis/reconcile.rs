//! Does what the kernel gave the program fit what the program holds? "Of +412 MiB anonymous memory, 397 MiB explained by 3
//! stacks", or memory that the program freed and the allocator keeps, or memory that never was the allocator's.

use crate::amount;

use super::{
    TimelinePoint, Totals,
    saturation::Thirds,
    series::Series,
    trend::{self},
};

/// Memory and heap side by side, as changes from the first snapshot to the last, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reconciliation {
    /// Anonymous memory in the first and in the last snapshot.
    pub(super) anonymous: (u64, u64),
    /// Live bytes in the first and in the last snapshot.
    pub(super) live: (u64, u64),
    /// Anonymous growth that live blocks, with what an allocator needs around them, do not explain; 0 when they do.
    pub(super) unexplained: f64,
    /// Anonymous memory was still growing in the last third.
    pub(super) growing: bool,
    /// Growth of resident memory that is not anonymous: mapped files and shared memory.
    pub(super) mapped: f64,
    /// And that was still growing.
    pub(super) mapped_growing: bool,
    /// Fewest stacks that make up nine tenths of the growth of live bytes, and their growth.
    pub(super) explained_by: (usize, u64),
}

/// Bytes that an allocator keeps around a block: glibc's header and rounding, half a size class elsewhere.
const AROUND_A_BLOCK: f64 = 16.0;
/// And as a share of the bytes: size classes are up to a quarter apart (jemalloc).
const SIZE_CLASS: f64 = 1.25;

impl Reconciliation {
    /// `None` when the recording has no resident memory, or fewer than three snapshots.
    pub(super) fn of(timeline: &[TimelinePoint], series: &[Series<'_>]) -> Option<Self> {
        let (first, last) = (timeline.first()?, timeline.last()?);
        let (anonymous, resident) =
            ((first.anonymous_bytes?, last.anonymous_bytes?), (first.rss_bytes?, last.rss_bytes?));
        if timeline.len() < 3 {
            return None;
        }
        let mut growth: Vec<u64> = series
            .iter()
            .map(|series| series.last().saturating_sub(series.first()))
            .filter(|growth| *growth > 0)
            .collect();
        growth.sort_unstable_by(|a, b| b.cmp(a));
        let live = (first.live_bytes, last.live_bytes);
        let blocks: f64 = series.iter().map(Series::grown_blocks).sum();
        let held = (live.1 as f64 - live.0 as f64) * SIZE_CLASS + blocks.max(0.0) * AROUND_A_BLOCK;
        let changed = anonymous.1 as f64 - anonymous.0 as f64;
        let not_anonymous =
            |point: &TimelinePoint| Some(point.rss_bytes?.saturating_sub(point.anonymous_bytes?));
        Some(Self {
            anonymous,
            live,
            unexplained: (changed - held).max(0.0),
            growing: still_growing(timeline, |point| point.anonymous_bytes),
            mapped: (resident.1.saturating_sub(anonymous.1)) as f64
                - (resident.0.saturating_sub(anonymous.0)) as f64,
            mapped_growing: still_growing(timeline, not_anonymous),
            explained_by: fewest(&growth, live.1.saturating_sub(live.0)),
        })
    }

    /// Growth of anonymous memory worth a word: swings of less are every program's.
    pub(super) fn is_material(&self, bytes: f64) -> bool {
        const FLOOR: f64 = 4.0 * 1024.0 * 1024.0;
        bytes >= FLOOR.max(0.2 * self.anonymous.0 as f64)
    }

    /// The comparison as a sentence; `None` when nothing grew.
    pub(super) fn sentence(&self) -> Option<String> {
        const WORTH_A_WORD: u64 = 64 << 10;
        let (anonymous, live) =
            (self.anonymous.1.saturating_sub(self.anonymous.0), self.live.1.saturating_sub(self.live.0));
        let (stacks, explained) = self.explained_by;
        let stacks = if stacks == 1 { "1 stack".to_owned() } else { format!("{stacks} stacks") };
        if anonymous.max(live) < WORTH_A_WORD {
            None
        } else if live > anonymous {
            Some(format!(
                "Live bytes grew by {} and anonymous memory by {}: the rest is not touched yet, or reuses memory that the \
                 allocator had.",
                amount::bytes(live),
                amount::bytes(anonymous)
            ))
        } else if explained == 0 {
            Some(format!("Of +{} anonymous memory, no live bytes explain any.", amount::bytes(anonymous)))
        } else {
            let explained = amount::bytes(explained.min(anonymous));
            Some(format!(
                "Of +{} anonymous memory, {explained} are explained by {stacks}.",
                amount::bytes(anonymous)
            ))
        }
    }

    /// The program once held and freed what is unexplained, so the allocator has it: the heap was that large, or it turned
    /// over so much in a heap of that size that fragments remain.
    pub(super) fn is_retained(&self, peak_live: u64, totals: &Totals) -> bool {
        let freed_from_peak = peak_live.saturating_sub(self.live.1) as f64;
        let fragments =
            totals.freed_bytes as f64 >= 4.0 * self.unexplained && self.unexplained <= 2.0 * peak_live as f64;
        freed_from_peak >= self.unexplained / 2.0 || fragments
    }
}

fn still_growing(timeline: &[TimelinePoint], value: impl Fn(&TimelinePoint) -> Option<u64>) -> bool {
    let points = timeline.iter().filter_map(|point| Some((point.at_seconds, value(point)? as f64)));
    let (seconds, values): (Vec<f64>, Vec<f64>) = points.unzip();
    let rising = trend::mann_kendall(&values).is_some_and(|trend| trend.rising && trend.p_value < 0.05);
    let growth = values.last().zip(values.first()).map_or(0.0, |(last, first)| last - first);
    // A steady growth has a third of it in the last third; a start-up has nothing left by then.
    rising && Thirds::of(&seconds, &values).is_some_and(|thirds| thirds.last > growth / 8.0)
}

/// How few of the values, largest first, make nine tenths of `whole`, and their sum.
fn fewest(values: &[u64], whole: u64) -> (usize, u64) {
    let mut sum = 0_u64;
    let mut count = 0;
    for value in values {
        if sum as f64 >= 0.9 * whole as f64 {
            break;
        }
        sum = sum.saturating_add(*value);
        count += 1;
    }
    (count, sum.min(whole))
}

#[cfg(test)]
mod tests;
