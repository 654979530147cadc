//! Reads the functions (frame description entries) of an unwind section and compiles them one by one.

use std::{collections::HashMap, ops::Range};

use gimli::{
    BaseAddresses, CommonInformationEntry, EndianSlice, Error, FrameDescriptionEntry, LittleEndian, Register,
    RegisterRule, UnwindContext, UnwindContextStorage, UnwindOffset, UnwindSection, UnwindTableRow,
};
use leakhound_ebpf::abi::Cfa;

use super::{
    UnwindError, UnwindStats,
    rows::Builder,
    rule::{bare, rule},
};

/// Most functions of one module; a browser has 600,000.
const MAX_FUNCTIONS: usize = 2 << 20;
/// Common entries kept parsed. Linkers merge equal ones, so real files have a few dozen.
const MAX_CIES: usize = 4096;

pub(super) type Bytes<'a> = EndianSlice<'a, LittleEndian>;
type Fde<'a> = FrameDescriptionEntry<Bytes<'a>>;
type Cie<'a> = CommonInformationEntry<Bytes<'a>>;

/// Where a function's entry lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    EhFrame,
    DebugFrame,
}

/// A function and its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) source: Source,
    offset: u32,
}

/// Bytes of unwind programs that may still be run.
///
/// An entry of 20 bytes may name a common entry of a megabyte, so a hostile file could cost its size squared. Real
/// files cost about twice their size: every function runs its own program and the short one of its common entry.
pub(super) struct Work {
    left: u64,
    limit: u64,
}

impl Work {
    pub(super) fn for_bytes(bytes: usize) -> Self {
        let limit = (bytes as u64).saturating_mul(8).saturating_add(1 << 20);
        Self { left: limit, limit }
    }

    fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes as u64);
    }

    fn check(&self) -> Result<(), UnwindError> {
        if self.left == 0 { Err(UnwindError::TooMuchWork(self.limit)) } else { Ok(()) }
    }
}

/// gimli's default keeps room for 192 registers and copies it at every remember_state; x86-64 has 17 that unwinding knows.
pub(super) struct Storage;

impl UnwindContextStorage<usize> for Storage {
    type Rules = [(Register, RegisterRule<usize>); 24];
    type Stack = Box<[UnwindTableRow<usize, Self>; 8]>;
}

/// The functions of one section.
pub(super) struct Functions<'a, S> {
    section: S,
    bytes: &'a [u8],
    bases: &'a BaseAddresses,
    cies: HashMap<usize, Result<Cie<'a>, Error>>,
    context: UnwindContext<usize, Storage>,
}

impl<'a, S: UnwindSection<Bytes<'a>>> Functions<'a, S>
where
    S::Offset: UnwindOffset<usize>,
{
    pub(super) fn new(section: S, bytes: &'a [u8], bases: &'a BaseAddresses) -> Self {
        Self { section, bytes, bases, cies: HashMap::new(), context: UnwindContext::new_in() }
    }

    /// Appends the section's functions that lie in `code`.
    pub(super) fn list(
        &mut self,
        source: Source,
        code: &[Range<u64>],
        list: &mut Vec<Function>,
        work: &mut Work,
        stats: &mut UnwindStats,
    ) -> Result<(), UnwindError> {
        let mut at = 0;
        while let Some(next) = next_entry(self.bytes, at) {
            let Some(offset) = next.offset
    }
}
