//! What a reader left out or mended, by kind: loss is data, and lowers the confidence of a verdict.

use std::collections::BTreeMap;

/// One kind of thing that was left out or mended while a recording was put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Skip {
    /// A record of a kind that this version does not know.
    UnknownKind,
    /// A line that is no record: broken JSON, or a value of the wrong type.
    UnreadableLine,
    /// The end is missing: the recorder was killed, or the file was cut or damaged.
    CutOff,
    /// A snapshot or the end older than the snapshot before it: moved to that one's time.
    TimeBackwards,
    /// More live than was ever allocated: the allocated bytes or blocks were raised.
    ImpossibleCounters,
    /// Counters of a stack that was never described: kept, without frames.
    UnknownStack,
    /// A header, module, stack or counter of a stack given twice: the first header, module and stack and the last
    /// counter stand.
    Repeated,
    /// A line of a text log that has no known form.
    UnknownLine,
}

impl Skip {
    /// The name under which the ledger of an analysis shows it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::UnknownKind => "readerUnknownKinds",
            Self::UnreadableLine => "readerUnreadableLines",
            Self::CutOff => "readerCutOff",
            Self::TimeBackwards => "readerTimeBackwards",
            Self::ImpossibleCounters => "readerImpossibleCounters",
            Self::UnknownStack => "readerUnknownStacks",
            Self::Repeated => "readerRepeated",
            Self::UnknownLine => "readerUnknownLines",
        }
    }
}

/// How often each kind of thing was left out or mended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Skipped(BTreeMap<Skip, u64>);

impl Skipped {
    /// Counts one more.
    pub fn add(&mut self, skip: Skip) {
        self.add_many(skip, 1);
    }

    /// Counts `count` more.
    pub fn add_many(&mut self, skip: Skip, count: u64) {
        if count > 0 {
            *self.0.entry(skip).or_default() += count;
        }
    }

    /// How often this happened.
    pub fn count(&self, skip: Skip) -> u64 {
        self.0.get(&skip).copied().unwrap_or_default()
    }

    /// Everything that happened at least once.
    pub fn iter(&self) -> impl Iterator<Item = (Skip, u64)> {
        self.0.iter().map(|(skip, count)| (*skip, *count))
    }

    /// Nothing was left out or mended.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
