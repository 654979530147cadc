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
        while at < self.bytes.len() {
            let length = match entry_length(self.bytes, at) {
                Some(0) if source == Source::EhFrame => break, // the terminator
                Some(0) => 4,                                  // padding, as NASM writes it
                Some(length) => {
                    self.list_entry(at, source, code, list, work, stats);
                    length
                }
                None => {
                    stats.bad_entries += 1; // cut short: what follows is lost
                    break;
                }
            };
            at += length;
            work.check()?;
            if list.len() > MAX_FUNCTIONS {
                return Err(UnwindError::TooManyFunctions(MAX_FUNCTIONS));
            }
        }
        Ok(())
    }

    fn list_entry(
        &mut self,
        at: usize,
        source: Source,
        code: &[Range<u64>],
        list: &mut Vec<Function>,
        work: &mut Work,
        stats: &mut UnwindStats,
    ) {
        let fde = match self.parse(at, work) {
            Ok(fde) => fde,
            Err(Error::NotCiePointer(_)) => return, // a common entry: parsed when a function names it
            Err(_) => {
                stats.bad_entries += 1;
                return;
            }
        };
        let (start, end) = (fde.initial_address(), fde.end_address());
        if start == 0 || fde.len() == 0 {
            return; // what a linker leaves of a function that it threw away
        }
        let segment = code[..code.partition_point(|segment| segment.start <= start)].last();
        match (segment, u32::try_from(at)) {
            (Some(segment), Ok(offset)) if start < end && end <= segment.end => {
                list.push(Function { start, end, source, offset });
            }
            _ => stats.bad_entries += 1,
        }
    }

    /// Appends the rows of a function that [`list`](Self::list) found.
    pub(super) fn compile(
        &mut self,
        function: Function,
        table: &mut Builder,
        work: &mut Work,
        stats: &mut UnwindStats,
    ) -> Result<(), UnwindError> {
        let Range { mut start, end } = function.start..function.end;
        let Ok(fde) = self.parse(function.offset as usize, work) else {
            // It was read before, so this cannot happen; were it to, the function has no rows and says so.
            stats.bad_entries += 1;
            return table.push(start, bare(Cfa::Unsupported));
        };
        stats.fdes += 1;
        if fde.is_signal_trampoline() {
            stats.signal += 1;
            return table.push(start, bare(Cfa::Signal));
        }
        work.spend(fde.entry_len() + fde.cie().entry_len());
        work.check()?;
        let program = fde.rows(&self.section, self.bases, &mut self.context);
        let Ok(mut program) = program else {
            stats.bad_entries += 1;
            return table.push(start, bare(Cfa::Unsupported));
        };
        loop {
            match program.next_row() {
                Ok(Some(row)) if row.start_address() >= end => break,
                Ok(Some(row)) if row.start_address() < row.end_address() => {
                    table.push(row.start_address(), rule(row, fde.cie(), &self.section, stats))?;
                    start = row.end_address();
                }
                Ok(Some(_)) => {} // replaced at once by the next one at the same address
                Ok(None) => break,
                Err(_) => {
                    stats.bad_entries += 1;
                    if start < end {
                        table.push(start, bare(Cfa::Unsupported))?;
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    fn parse(&mut self, at: usize, work: &mut Work) -> Result<Fde<'a>, Error> {
        let Self { section, bytes, bases, cies, .. } = self;
        section.fde_from_offset(bases, at.into(), |section, bases, offset| {
            let at: usize = UnwindOffset::into(offset);
            if let Some(known) = cies.get(&at) {
                return known.clone();
            }
            work.spend(entry_length(bytes, at).unwrap_or(0));
            let cie = section.cie_from_offset(bases, offset);
            if cies.len() == MAX_CIES {
                cies.clear();
            }
            cies.insert(at, cie.clone());
            cie
        })
    }
}

/// Bytes of the entry at this offset, its length field included; 0 for a terminator; `None` when it does not fit
/// into the section.
fn entry_length(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let (length, field) = match u32::from_le_bytes(*rest.first_chunk()?) {
        0 => return Some(0),
        u32::MAX => (u64::from_le_bytes(*rest.get(4..)?.first_chunk()?), 12),
        length => (length.into(), 4),
    };
    let total = usize::try_from(length).ok()?.checked_add(field)?;
    (total <= rest.len()).then_some(total)
}

/// Sorts the functions and cuts each one where the next begins: an address then belongs to the function that begins
/// nearest before it, which is what a search in `.eh_frame_hdr` finds, too. Of two that begin together, the first
/// listed one stays.
pub(super) fn separate(list: &mut Vec<Function>, stats: &mut UnwindStats) {
    list.sort_by_key(|function| function.start); // stable: .eh_frame before .debug_frame
    list.dedup_by(|later, first| {
        let same = later.start == first.start;
        if same && later.source == first.source {
            stats.overlapping += 1;
        }
        same
    });
    for i in 1..list.len() {
        let next = list[i].start;
        if list[i - 1].end > next {
            list[i - 1].end = next;
            stats.overlapping += 1;
        }
    }
}
