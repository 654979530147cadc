//! Does what the kernel gave the program fit what the program holds? "Of +412 MiB anonymous memory, 397 MiB explained by 3
//! stacks", or memory that the program freed and the allocator keeps, or memory that never was the allocator's.

use std::collections::{HashMap, HashSet};

use crate::{
    amount,
    recording::{Process, Snapshot},
};

use super::{FEWEST_SNAPSHOTS, TimelinePoint, Totals, saturation::Thirds, series::Series, trend};

/// Memory and heap side by side, as changes from the first snapshot to the last, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reconciliation {
    /// Anonymous memory in the first snapshot.
    pub(super) start: u64,
    /// What it changed by, of the processes that are there in the end and since each was first seen: a new process brings
    /// its memory along, and that is no growth.
    pub(super) changed: f64,
    /// Live bytes in the first and in the last snapshot.
    pub(super) live: (u64, u64),
    /// How far live bytes may be off where they were estimated from a sample; else 0.
    pub(super) blur: f64,
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

/// Growth below this is no news of any program.
const WORTH_A_WORD: f64 = (64 << 10) as f64;
/// Growth below this may be chance, whatever its shape.
const FLOOR: f64 = 4.0 * 1024.0 * 1024.0;

impl Reconciliation {
    /// `blur` is how far live bytes may be off. `None` when the recording has no resident memory, or fewer than three snapshots.
    pub(super) fn of(
        snapshots: &[Snapshot],
        timeline: &[TimelinePoint],
        series: &[Series<'_>],
        blur: f64,
    ) -> Option<Self> {
        let (first, last) = (timeline.first()?, timeline.last()?);
        let start = first.anonymous_bytes?;
        // a target that has ended holds nothing any more: what counts is what it held before
        let alive = snapshots.iter().rposition(|snapshot| !snapshot.processes.is_empty())? + 1;
        let (snapshots, timeline) = (snapshots.get(..alive)?, timeline.get(..alive)?);
        if timeline.len() < FEWEST_SNAPSHOTS {
            return None;
        }
        let growth = growth_by_process(snapshots);
        let (anonymous, mapped): (Vec<f64>, Vec<f64>) = growth.into_iter().unzip();
        let seconds: Vec<f64> = timeline.iter().map(|point| point.at_seconds).collect();
        let mut by_stack: Vec<u64> = series
            .iter()
            .map(|series| series.last().saturating_sub(series.first()))
            .filter(|growth| *growth > 0)
            .collect();
        by_stack.sort_unstable_by(|a, b| b.cmp(a));
        let live = (first.live_bytes, last.live_bytes);
        let blocks: f64 = series.iter().map(Series::grown_blocks).sum();
        let held = (live.1 as f64 - live.0 as f64) * SIZE_CLASS + blocks.max(0.0) * AROUND_A_BLOCK;
        let changed = *anonymous.last()?;
        Some(Self {
            start,
            changed,
            live,
            blur,
            unexplained: (changed - held - blur).max(0.0),
            growing: still_growing(&seconds, &anonymous),
            mapped: *mapped.last()?,
            mapped_growing: still_growing(&seconds, &mapped),
            explained_by: fewest(&by_stack, live.1.saturating_sub(live.0)),
        })
    }

    /// Growth of anonymous memory worth a verdict: swings of less are every program's.
    pub(super) fn is_material(&self, bytes: f64) -> bool {
        bytes >= FLOOR.max(0.2 * self.start as f64)
    }

    /// Steady growth of which live blocks are next to nothing: whatever takes it is not the heap, however large the program is.
    pub(super) fn is_foreign(&self) -> bool {
        let live = self.live.1 as f64 - self.live.0 as f64;
        self.growing
            && self.changed >= WORTH_A_WORD
            && self.unexplained >= 0.9 * self.changed
            && live < 0.1 * self.changed
    }

    /// The same, and enough of it for a verdict of its own.
    pub(super) fn is_surely_foreign(&self) -> bool {
        self.is_foreign() && self.changed >= FLOOR
    }

    /// The comparison as a sentence; `None` when nothing grew that is worth one.
    pub(super) fn sentence(&self) -> Option<String> {
        /// Page rounding and the allocator's own rows make small differences.
        const ALIKE: f64 = 1.1;
        let live = self.live.1 as f64 - self.live.0 as f64;
        let (stacks, explained) = self.explained_by;
        let stacks =
            if stacks == 1 { "stack".to_owned() } else { amount::counted(stacks, "stack", "stacks") };
        let grown = whole(self.changed);
        if self.changed.max(live) < WORTH_A_WORD {
            None
        } else if self.blur > 0.0 && (live - self.changed).abs() < self.blur {
            Some(format!(
                "Anonymous memory grew by {} and live bytes by {}: no more apart than the sample may be wrong ({}).",
                amount::bytes(grown),
                amount::bytes(whole(live)),
                amount::bytes(whole(self.blur))
            ))
        } else if live > ALIKE * self.changed.max(0.0) {
            Some(format!(
                "Live bytes grew by {} and anonymous memory by only {}: the rest is not touched yet, or lies in memory that the \
                 allocator already had.",
                amount::bytes(whole(live)),
                amount::bytes(grown)
            ))
        } else if live < WORTH_A_WORD {
            Some(format!(
                "Anonymous memory grew by {}, and live bytes explain none of it.",
                amount::bytes(grown)
            ))
        } else {
            let explained = amount::bytes(explained.min(grown));
            Some(format!(
                "Of +{} anonymous memory, {explained} are explained by the {stacks} that grew the most.",
                amount::bytes(grown)
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

/// What anonymous and other resident memory changed by until each snapshot, summed over the processes that are there in the
/// end, each since it was first seen.
fn growth_by_process(snapshots: &[Snapshot]) -> Vec<(f64, f64)> {
    let parts = |process: &Process| {
        let anonymous = process.anonymous_bytes.saturating_add(process.swap_bytes) as f64;
        (anonymous, process.rss_bytes.saturating_sub(process.anonymous_bytes) as f64)
    };
    let last = snapshots.last().map(|snapshot| snapshot.processes.as_slice()).unwrap_or_default();
    let there: HashSet<u32> = last.iter().map(|process| process.pid).collect();
    let mut first_seen: HashMap<u32, (f64, f64)> = HashMap::new();
    let mut growth = |snapshot: &Snapshot| {
        snapshot.processes.iter().filter(|process| there.contains(&process.pid)).fold(
            (0.0, 0.0),
            |sum, process| {
                let now = parts(process);
                let first = first_seen.entry(process.pid).or_insert(now);
                (sum.0 + now.0 - first.0, sum.1 + now.1 - first.1)
            },
        )
    };
    snapshots.iter().map(&mut growth).collect()
}

fn still_growing(seconds: &[f64], values: &[f64]) -> bool {
    /// Every pair of points is compared: more say no more.
    const MOST_POINTS: usize = 128;
    let every = values.len().div_ceil(MOST_POINTS).max(1);
    let thinned: Vec<f64> = values.iter().rev().step_by(every).rev().copied().collect();
    let rising = trend::mann_kendall(&thinned).is_some_and(|trend| trend.rising && trend.p_value < 0.05);
    let growth = values.last().zip(values.first()).map_or(0.0, |(last, first)| last - first);
    // A steady growth has a third of it in the last third; a start-up has nothing left by then.
    rising && Thirds::of(seconds, values).is_some_and(|thirds| thirds.last > growth / 8.0)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates; never negative"
)]
fn whole(bytes: f64) -> u64 {
    bytes.max(0.0).round() as u64
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
