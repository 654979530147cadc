//! A snapshot while its lines are coming in.

use super::{
    counters::Shown,
    line::Line,
    losses::{Loss, Losses},
    place::{Frame, Place},
    stacks::Stacks,
};

/// Most frames of one stack; the tools walk 127 unless told otherwise.
const MOST_FRAMES: usize = 1024;
/// Counters from here on are negative: memleak subtracts without looking.
const NEGATIVE: u64 = 1 << 63;

/// A snapshot while its lines are coming in.
#[derive(Debug, Clone)]
pub(super) struct OpenSnapshot {
    /// Second of the day.
    pub(super) second: u32,
    /// The number in the heading.
    pub(super) top: u64,
    /// Stacks so far, with those left out.
    pub(super) totals: u64,
    /// Some stack was left out.
    pub(super) damaged: bool,
    /// Number of the last whole stack.
    pub(super) last_stack: Option<u32>,
    /// Stacks from this number on were not known before this snapshot.
    pub(super) first_new: u32,
    shown: Vec<Shown>,
    sizes: Sizes,
    stack: Option<OpenStack>,
}

/// A stack while its frames are coming in.
#[derive(Debug, Clone, Default)]
struct OpenStack {
    bytes: u64,
    count: u64,
    frames: Vec<u32>,
    /// Whether its frames have addresses. One that differs is no frame of this stack.
    with_address: Option<bool>,
    /// Where the best symbol of the last frame starts, while its symbols are coming in.
    symbols: Option<u64>,
    damaged: bool,
}

/// The order in which the stacks come.
#[derive(Debug, Clone, Copy, Default)]
struct Sizes {
    last: Option<u64>,
    smallest: Option<u64>,
    rose: bool,
    fell: bool,
}

impl OpenSnapshot {
    pub(super) fn new(second: u32, top: u64, first_new: u32) -> Self {
        Self {
            second,
            top,
            totals: 0,
            damaged: false,
            last_stack: None,
            first_new,
            shown: Vec::new(),
            sizes: Sizes::default(),
            stack: None,
        }
    }

    /// Takes in a line of a snapshot. False when it does not belong there.
    pub(super) fn take(&mut self, line: Line<'_>, stacks: &mut Stacks, losses: &mut Losses) -> bool {
        match line {
            Line::Total { bytes, count } => {
                self.close_stack(stacks, losses);
                self.begin_stack(bytes, count, losses);
                true
            }
            Line::Frame { frame, several, .. } => {
                self.stack.as_mut().is_some_and(|stack| stack.push(&frame, several, stacks, losses))
            }
            Line::Alias { start, place } => {
                self.stack.as_mut().is_some_and(|stack| stack.rename(start, place, stacks))
            }
            Line::StackLost => self.stack.as_ref().is_some_and(|stack| stack.frames.is_empty()),
            _ => true,
        }
    }

    fn begin_stack(&mut self, bytes: u64, count: u64, losses: &mut Losses) {
        self.totals += 1;
        let positive = |value: u64| if value < NEGATIVE { value } else { 0 };
        losses.add(Loss::NegativeCounter, u64::from(bytes.max(count) >= NEGATIVE));
        let (bytes, count) = (positive(bytes), positive(count));
        self.sizes.push(bytes);
        // More than the heading allows: the heading of the next snapshot was torn apart.
        let damaged = self.totals > self.top;
        self.stack = Some(OpenStack { bytes, count, damaged, ..OpenStack::default() });
    }

    /// Counts the open stack, if any.
    pub(super) fn close_stack(&mut self, stacks: &mut Stacks, losses: &mut Losses) {
        let Some(stack) = self.stack.take() else { return };
        if stack.damaged {
            losses.add(Loss::StackDamaged, 1);
            self.damaged = true;
            return;
        }
        losses.add(Loss::StackInformation, u64::from(stack.frames.is_empty()));
        let Some(id) = stacks.stack(stack.frames) else {
            losses.add(Loss::StackOverLimit, 1);
            self.damaged = true;
            return;
        };
        self.last_stack = Some(id);
        self.shown.push(Shown { stack: id, bytes: stack.bytes, count: stack.count });
    }

    /// Something broke a line of the open stack, if any.
    pub(super) fn damage(&mut self) {
        if let Some(stack) = &mut self.stack {
            stack.damaged = true;
        }
    }

    /// Bytes of the smallest stack, when the stacks came in order of size and none was left out: no stack below the top
    /// has more.
    pub(super) fn smallest(&self) -> Option<u64> {
        self.sizes.smallest.filter(|_| !(self.damaged || self.sizes.rose && self.sizes.fell))
    }

    /// What it shows, each stack once: stacks that differ only in their addresses are one.
    pub(super) fn into_shown(self) -> Vec<Shown> {
        let mut shown = self.shown;
        shown.sort_by_key(|shown| shown.stack);
        shown.dedup_by(|next, first| {
            let same = next.stack == first.stack;
            if same {
                first.bytes = first.bytes.saturating_add(next.bytes);
                first.count = first.count.saturating_add(next.count);
            }
            same
        });
        shown
    }
}

impl OpenStack {
    fn push(&mut self, frame: &Frame<'_>, several: bool, stacks: &mut Stacks, losses: &mut Losses) -> bool {
        let with_address = *self.with_address.get_or_insert_with(|| frame.address.is_some());
        let expected = frame.index.is_none_or(|index| index as usize == self.frames.len());
        if with_address != frame.address.is_some() || !expected || self.frames.len() == MOST_FRAMES {
            self.damaged = true;
            return false;
        }
        self.symbols = several.then_some(0);
        if let Some(id) = stacks.frame(frame) {
            self.frames.push(id);
        } else {
            losses.add(Loss::StackOverLimit, u64::from(!self.damaged));
            self.damaged = true;
        }
        true
    }

    /// Of the symbols that cover an address, the one that starts nearest before it names the frame.
    fn rename(&mut self, start: u64, place: Place<'_>, stacks: &mut Stacks) -> bool {
        let (Some(best), Some(last)) = (&mut self.symbols, self.frames.last_mut()) else { return false };
        if start >= *best {
            let address = stacks.address(*last);
            let renamed = stacks.frame(&Frame { address, index: None, place });
            (*best, *last) = (start, renamed.unwrap_or(*last));
        }
        true
    }
}

impl Sizes {
    fn push(&mut self, bytes: u64) {
        self.rose |= self.last.is_some_and(|last| bytes > last);
        self.fell |= self.last.is_some_and(|last| bytes < last);
        self.last = Some(bytes);
        self.smallest = Some(self.smallest.map_or(bytes, |smallest| smallest.min(bytes)));
    }
}
