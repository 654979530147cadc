//! Compiles a module's call frame information into the rows by which the kernel side walks stacks that have no frame pointers.
//!
//! ```text
//! sections   .eh_frame or .debug_frame of a hostile ELF file, and where its code lies
//! functions  the functions they describe: sorted, cut where they overlap
//! rule       one row of DWARF (rule for CFA, rbp, return address) -> one row of ours
//!   expression  the few CFA expressions that compilers and linkers really write
//! code       rows for a musl, which has no such information, from its instructions
//! rows       rows and the page index over them
//! ```
//!
//! `docs/unwinding.md` explains the method; `ebpf/unwind.bpf.h` is the reader.

mod code;
mod expression;
mod functions;
mod rows;
mod rule;
mod sections;
#[cfg(test)]
mod tests;

use gimli::{BaseAddresses, DebugFrame, EhFrame, LittleEndian};
use object::ReadRef;
use thiserror::Error;

use self::{
    functions::{Functions, Source, Work},
    rows::Builder,
};

/// Most rows of one module: 64 MiB in the kernel. The largest libraries we met (LLVM) have 1.2 million.
pub const MAX_ROWS: usize = 8 << 20;
/// Most pages that a module's functions may span: 4 GiB of virtual addresses, 8 MiB in the kernel.
pub const MAX_PAGES: usize = 1 << 20;

const PAGE_SHIFT: u32 = 12;
const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

/// A module's unwind rows, as the kernel side reads them.
///
/// To look up `pc` in a module mapped with `load_bias` (run-time address minus the file's virtual address), the kernel
/// side computes `relative = pc - bias` with `bias = load_bias + first_address` (wrapping), takes page
/// `relative >> 12`, and in it the last row whose `pc_low` is not above `relative & 0xfff`. Is there none, the row
/// before [`PageRows::first`] holds: it began in an earlier page. An address outside of all pages has no rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnwindTable {
    /// The file's virtual address of the first page: a multiple of 4096. It keeps the page index small for programs
    /// that are linked at a high address.
    pub first_address: u64,
    /// Packed [`Row`](leakhound_ebpf::abi::Row)s in order of their address. The first one lies at `pc_low` 0 of page 0,
    /// so every address within the pages has a row.
    pub rows: Vec<u64>,
    /// One entry per 4 KiB from `first_address` on.
    pub pages: Vec<PageRows>,
    /// What was compiled and what was lost.
    pub stats: UnwindStats,
}

/// The rows that begin in one page: `first..end`, empty when an earlier row holds for the whole page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRows {
    /// Index of the first row.
    pub first: u32,
    /// Index after the last row.
    pub end: u32,
}

/// What was compiled, and what a walk through this module cannot follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnwindStats {
    /// Functions (frame description entries) compiled.
    pub fdes: usize,
    /// Rows of the table, after merging equal neighbours.
    pub rows: usize,
    /// DWARF rows that became "unsupported": a walk that meets one stops there and says so.
    pub unsupported: usize,
    /// Of those, the ones whose offsets are too large or not a multiple of 8.
    pub does_not_fit: usize,
    /// DWARF rows after which the caller's rbp is not known: a caller that needs it ends the walk.
    pub rbp_lost: usize,
    /// DWARF rows with the expression of a procedure linkage table.
    pub plt: usize,
    /// DWARF rows whose CFA is read from memory.
    pub deref: usize,
    /// Signal trampolines.
    pub signal: usize,
    /// Rows read from musl's instructions, for want of unwind information.
    pub inferred: usize,
    /// Entries that could not be read or lie outside the module's code: addresses there have no rows, or unsupported ones.
    pub bad_entries: usize,
    /// Functions cut short or left out because another one begins inside them.
    pub overlapping: usize,
}

/// A module for which no table can be made: it is walked by frame pointer.
#[derive(Debug, Error)]
pub enum UnwindError {
    /// Not an ELF file, or a damaged one.
    #[error("cannot read the file as ELF")]
    Elf(#[from] object::Error),
    /// Stacks are read from x86-64's registers.
    #[error("not a 64-bit x86 ELF file ({0}): its stacks cannot be walked")]
    Machine(String),
    /// A program built without, or stripped of, .eh_frame and .debug_frame.
    #[error(
        "no unwind information (.eh_frame or .debug_frame); build with -fasynchronous-unwind-tables or -fno-omit-frame-pointer"
    )]
    Missing,
    /// The index .eh_frame_hdr, the only way to .eh_frame in a file without section headers, is damaged.
    #[error("cannot read .eh_frame_hdr")]
    Index(#[source] gimli::Error),
    /// The file ends before its loaded segment does: truncated.
    #[error("the file is cut short: {size} bytes of unwind information at offset {offset} are missing")]
    Cut {
        /// Offset in the file.
        offset: u64,
        /// Bytes wanted.
        size: u64,
    },
    /// Larger than any real one: reading it could take more memory than the agent has.
    #[error("section {name} has {size} bytes, more than the {limit} that are read")]
    SectionTooLarge {
        /// Its name.
        name: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// More functions than any real file has.
    #[error("more than {0} functions in the unwind information")]
    TooManyFunctions(usize),
    /// More rows than [`MAX_ROWS`].
    #[error("more than {0} unwind rows")]
    TooManyRows(usize),
    /// Functions further apart than [`MAX_PAGES`].
    #[error("functions lie between {first:#x} and {last:#x}, further apart than any real program's")]
    TooSpread {
        /// Virtual address of the first function.
        first: u64,
        /// Virtual address after the last one.
        last: u64,
    },
    /// Reading would take many times longer than any real file of this size: a file made to keep us busy.
    #[error("the unwind information takes more than {0} steps for its size")]
    TooMuchWork(u64),
}

/// Compiles the unwind information of an ELF file, or of the vDSO's image.
///
/// Reads only the headers and the sections it needs through `data`; an [`object::ReadCache`] over an open file is
/// safer than a memory map, which faults when the target shortens the file. Time and memory are bounded by the size
/// of those sections, whatever they contain.
pub fn compile<'a, R: ReadRef<'a>>(data: R) -> Result<UnwindTable, UnwindError> {
    let sections = sections::find(data)?;
    let bases = BaseAddresses::default()
        .set_eh_frame(sections.eh_frame.address)
        .set_text(sections.text)
        .set_got(sections.got);
    let debug_bases = BaseAddresses::default();
    let mut work = Work::for_bytes(sections.eh_frame.bytes.len() + sections.debug_frame.bytes.len());
    let mut debug_frame = DebugFrame::new(&sections.debug_frame.bytes, LittleEndian);
    debug_frame.set_address_size(8);
    let mut debug_frame = Functions::new(debug_frame, &sections.debug_frame.bytes, &debug_bases);
    let eh_frame = EhFrame::new(&sections.eh_frame.bytes, LittleEndian);
    let mut eh_frame = Functions::new(eh_frame, &sections.eh_frame.bytes, &bases);

    let mut stats = UnwindStats::default();
    let mut found = Vec::new();
    eh_frame.list(Source::EhFrame, &sections.code, &mut found, &mut work, &mut stats)?;
    debug_frame.list(Source::DebugFrame, &sections.code, &mut found, &mut work, &mut stats)?;
    functions::separate(&mut found, &mut stats);
    let inferred = match &sections.table {
        Some(table) => code::infer(data, sections.segments, table, &found),
        None => code::Rows::new(),
    };
    stats.inferred = inferred.len();
    let starts = [found.first().map(|function| function.start), inferred.keys().next().copied()];
    let ends = [found.last().map(|function| function.end), inferred.keys().next_back().copied()];
    let (Some(first), Some(last)) = (starts.into_iter().flatten().min(), ends.into_iter().flatten().max())
    else {
        return Err(UnwindError::Missing);
    };

    let first_address = first & !(PAGE_SIZE - 1);
    let mut table = Builder::new(first_address, last).ok_or(UnwindError::TooSpread { first, last })?;
    let mut covered = first_address;
    for function in &found {
        table.between(covered..function.start, &inferred)?;
        match function.source {
            Source::EhFrame => eh_frame.compile(*function, &mut table, &mut work, &mut stats)?,
            Source::DebugFrame => debug_frame.compile(*function, &mut table, &mut work, &mut stats)?,
        }
        covered = function.end;
    }
    table.between(covered..last, &inferred)?;
    table.finish(last, stats)
}
