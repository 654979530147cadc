//! Rows read from instructions, for musl: it is built without unwind information and without frame pointers.
//!
//! Without these a program in an Alpine container could not be walked from `strdup` to whoever called it, and no walk
//! would ever be known to have reached its end. GCC's code is regular enough: from a function's first instruction on, every
//! instruction says how far rsp moves. Checked against glibc, where the same can be read from `.eh_frame`.
//!
//! Caveats: only where a file defines `__libc_start_main` and says nothing about it. Other code without unwind information
//! keeps frame pointers (Go, V8's built-ins), and guesses would only make its walks worse.

mod frame;
mod reader;
mod symbols;

use std::ops::Range;

use object::{
    LittleEndian, ReadRef,
    elf::FileHeader64,
    read::elf::{ProgramHeader, SectionTable},
};

pub(super) use self::reader::{Rows, Stretch, read};
use self::symbols::Symbols;
use super::{
    functions::Function,
    sections::{Segment, is_code},
};

/// Shortest stretch of code without unwind information that is looked at, in bytes: shorter ones are padding and stubs.
const SHORTEST: u64 = 256;
/// Fewest bytes of such code in a file with a musl in it.
const FEWEST: u64 = 4 << 10;
/// Most bytes of it that are read; musl has 400 KiB.
const MOST: u64 = 2 << 20;

/// Rows for the code of a musl inside this file that `described` leaves out; empty for any other file.
pub(super) fn infer<'a, R: ReadRef<'a>>(
    data: R,
    segments: &[Segment],
    table: &SectionTable<'a, FileHeader64<LittleEndian>, R>,
    described: &[Function],
) -> Rows {
    let gaps: Vec<_> = code_ranges(segments)
        .into_iter()
        .flat_map(|(segment, range)| gaps(range, described).into_iter().map(move |gap| (segment, gap)))
        .collect();
    let size = gaps.iter().fold(0, |sum: u64, (_, gap)| sum.saturating_add(gap.end - gap.start));
    if !(FEWEST..=MOST).contains(&size) {
        return Rows::new();
    }
    let symbols = Symbols::read(table, data);
    if !symbols.start.is_some_and(|start| gaps.iter().any(|(_, gap)| gap.contains(&start))) {
        return Rows::new();
    }
    let stretches = gaps.iter().filter_map(|(segment, gap)| {
        let offset = segment.p_offset(LittleEndian).checked_add(gap.start - segment.p_vaddr(LittleEndian))?;
        let bytes = data.read_bytes_at(offset, gap.end - gap.start).ok()?;
        Some(Stretch { address: gap.start, bytes })
    });
    read(stretches.collect(), symbols.functions, &symbols.never_return)
}

/// The segments with code and its addresses, sorted; of segments that overlap, which no linker makes, the first one.
fn code_ranges(segments: &[Segment]) -> Vec<(&Segment, Range<u64>)> {
    let range = |segment: &Segment| {
        let start = segment.p_vaddr(LittleEndian);
        let size = segment.p_filesz(LittleEndian).min(segment.p_memsz(LittleEndian));
        Some(start..start.checked_add(size)?)
    };
    let mut found: Vec<_> = segments
        .iter()
        .filter(|segment| is_code(segment))
        .filter_map(|segment| Some((segment, range(segment)?)))
        .collect();
    found.sort_by_key(|(_, range)| range.start);
    found.dedup_by(|(_, later), (_, first)| later.start < first.end);
    found
}

/// What functions leave of a range; they are sorted and do not overlap.
fn gaps(range: Range<u64>, functions: &[Function]) -> Vec<Range<u64>> {
    let place = |address| functions.partition_point(|function| function.start < address);
    let inside = &functions[place(range.start)..place(range.end)];
    let starts = inside.iter().map(|function| function.start).chain([range.end]);
    let ends = [range.start].into_iter().chain(inside.iter().map(|function| function.end));
    ends.zip(starts)
        .map(|(from, to)| from..to)
        .filter(|gap| gap.end.saturating_sub(gap.start) >= SHORTEST)
        .collect()
}
