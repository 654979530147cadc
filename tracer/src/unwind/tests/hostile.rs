//! Files made to break us: each gives an error or a counted loss, soon.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use gimli::constants as dw;
use leakhound_ebpf::abi::Cfa;
use proptest::prelude::*;

use super::{
    DEF_CFA_OFFSET, advance,
    elf::{CFA_RSP_8, Elf, Frames},
    listing, reader,
};
use crate::unwind::{
    UnwindError, UnwindTable,
    code::{Stretch, read},
    compile,
};

fn one_function(start: u64, length: u64, program: &[u8]) -> Frames {
    let mut frames = Frames::eh_frame();
    let cie = frames.cie("", CFA_RSP_8);
    frames.fde(cie, 0x1000, 0x10, &[]);
    frames.fde(cie, start, length, program);
    frames
}

fn compile_in_time(bytes: &[u8]) -> Result<UnwindTable, UnwindError> {
    let start = Instant::now();
    let result = compile(bytes);
    assert!(start.elapsed() < Duration::from_secs(20), "took {:?}", start.elapsed());
    result
}

#[test]
fn functions_outside_of_the_code_are_left_out() {
    for (start, length) in [
        (1 << 60, 0x10),             // nowhere
        (0x1f00, 0x101),             // beyond the end
        (0xf00, 0x200),              // before the start
        (u64::MAX - 0xf, 0x20),      // around the end of memory
        (0x1800, u64::MAX - 0x1000), // likewise
    ] {
        let table = compile(&Elf::new(0x1000..0x2000, one_function(start, length, &[])).bytes()[..]).unwrap();
        assert_eq!((table.stats.fdes, table.stats.bad_entries), (1, 1), "{start:#x}");
        assert_eq!(table.pages.len(), 1);
    }
}

#[test]
fn code_that_spans_all_memory_is_refused() {
    let frames = one_function(1 << 60, 0x10, &[]);
    let error = compile(&Elf::new(0x1000..u64::MAX, frames).bytes()[..]).unwrap_err();
    assert!(matches!(error, UnwindError::TooSpread { first: 0x1000, .. }), "{error}");
}

#[test]
fn a_bad_entry_does_not_hide_the_next_one() {
    let mut frames = Frames::eh_frame();
    let strange = frames.cie("armcc+", CFA_RSP_8);
    let good = frames.cie("", CFA_RSP_8);
    frames.fde(strange, 0x1000, 0x10, &[]);
    frames.fde(0, 0x1010, 0x10, &[0x3f]); // an instruction that does not exist
    let at = frames.bytes.len();
    frames.fde(good, 0x1020, 0x10, &[advance(4), 0x3f]);
    frames.fde(good, 0x1030, 0x10, &[dw::DW_CFA_restore_state.0]);
    frames.fde(good, 0x1040, 0x10, &[]);
    let mut elf = Elf::new(0x1000..0x2000, frames);
    let table = compile(&elf.bytes()[..]).unwrap();
    let found = |address| reader::find(&table, address).unwrap().cfa;
    assert_eq!(found(0x1021), Cfa::Rsp, "the good part of a bad program");
    assert_eq!(found(0x1025), Cfa::Unsupported);
    assert_eq!(found(0x1031), Cfa::Unsupported);
    assert_eq!(found(0x1041), Cfa::Rsp);
    assert_eq!((table.stats.fdes, table.stats.bad_entries), (3, 4));

    elf.eh_frame[at] = 0xf0; // the length runs over what follows, so that cannot be trusted
    elf.eh_frame[at + 2] = 0xff;
    let error = compile(&elf.bytes()[..]).unwrap_err();
    assert!(matches!(error, UnwindError::Missing), "{error}");
}

#[test]
fn rows_beyond_the_functions_end_are_not_taken() {
    let program =
        [DEF_CFA_OFFSET, 16, advance(0x3f), DEF_CFA_OFFSET, 24, dw::DW_CFA_advance_loc4.0, 0, 0, 0, 0x7f];
    let table = compile(&Elf::new(0x1000..0x3000, one_function(0x1100, 0x20, &program)).bytes()[..]).unwrap();
    let rows = listing(&table);
    assert_eq!(rows.last().map(|(address, row)| (*address, row.cfa)), Some((0x1120, Cfa::None)));
}

#[test]
fn a_common_entry_that_every_function_repeats_cannot_keep_us_busy() {
    let mut frames = Frames::eh_frame();
    let mut program = CFA_RSP_8.to_vec();
    for _ in 0..20_000 {
        program.extend([dw::DW_CFA_remember_state.0, dw::DW_CFA_restore_state.0]);
    }
    let cie = frames.cie("", &program);
    for i in 0..1_000 {
        frames.fde(cie, 0x1000 + i * 16, 16, &[]);
    }
    let error = compile_in_time(&Elf::new(0x1000..0x100_0000, frames).bytes()).unwrap_err();
    assert!(matches!(error, UnwindError::TooMuchWork(_)), "{error}");
}

#[test]
fn common_entries_that_cannot_be_read_cannot_keep_us_busy() {
    let mut frames = Frames::eh_frame();
    // Every offset inside of this entry can be named as another common entry with a name that has no end.
    frames.cie(&"\u{1}".repeat(1 << 20), &[]);
    for i in 0..40_000 {
        frames.fde(i as usize * 4 + 2, 0x1000 + i * 16, 16, &[]);
    }
    let result = compile_in_time(&Elf::new(0x1000..0x100_0000, frames).bytes());
    assert!(matches!(result, Err(UnwindError::TooMuchWork(_) | UnwindError::Missing)), "{result:?}");
}

#[test]
fn a_huge_row_program_compiles_in_time() {
    let program: Vec<u8> =
        (0..400_000).flat_map(|i| [advance(1), DEF_CFA_OFFSET, 8 + 8 * (i & 1) as u8]).collect();
    let frames = one_function(0x2000, 400_001, &program);
    let table = compile_in_time(&Elf::new(0x1000..0x100_0000, frames).bytes()).unwrap();
    assert!(table.rows.len() > 399_000);
}

#[test]
fn files_of_other_kinds_are_named() {
    let mut bytes = Elf::new(0x1000..0x2000, one_function(0x1100, 0x20, &[])).bytes();
    assert!(matches!(
        compile(&b"#!/bin/sh\necho hello, a text of some length\n"[..]),
        Err(UnwindError::Elf(_))
    ));
    assert!(matches!(compile(&b""[..]), Err(UnwindError::Elf(_))));
    bytes[18] = 183;
    let error = compile(&bytes[..]).unwrap_err();
    assert_eq!(error.to_string(), "not a 64-bit x86 ELF file (machine 183): its stacks cannot be walked");
    bytes[4] = 1;
    assert!(matches!(compile(&bytes[..]), Err(UnwindError::Machine(kind)) if kind == "Elf32"));
}

#[test]
fn a_file_without_unwind_information_says_so() {
    let error = compile(&Elf::new(0x1000..0x2000, Frames::eh_frame()).bytes()[..]).unwrap_err();
    assert!(matches!(error, UnwindError::Missing), "{error}");
}

#[test]
fn a_section_as_large_as_a_disk_is_refused() {
    let bytes = Elf::new(0x1000..0x2000, one_function(0x1100, 0x20, &[])).bytes();
    let headers = u64::from_le_bytes(bytes[40..48].try_into().unwrap()) as usize;
    let mut large = bytes.clone();
    large[headers + 64 + 32..][..8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    let error = compile(&large[..]).unwrap_err();
    assert!(matches!(error, UnwindError::SectionTooLarge { name: ".eh_frame", .. }), "{error}");

    let mut bomb = bytes;
    bomb[headers + 64 + 8 + 1] |= 8; // SHF_COMPRESSED: the section's own header now says how large it becomes
    let offset = u64::from_le_bytes(bomb[headers + 64 + 24..][..8].try_into().unwrap()) as usize;
    bomb[offset..offset + 4].copy_from_slice(&1_u32.to_le_bytes());
    bomb[offset + 8..offset + 16].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    let error = compile(&bomb[..]).unwrap_err();
    assert!(matches!(error, UnwindError::SectionTooLarge { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A real library with damaged bytes gives a sound table or an error, in time.
    #[test]
    fn damaged_libraries_do_no_harm(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        headers_only in any::<bool>(),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut bytes = super::real::loader().to_vec();
        let target = if headers_only { 0..0x400 } else { super::real::eh_frame_range(&bytes) };
        for (at, value) in damage {
            bytes[target.start + at.index(target.len())] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(table) = compile_in_time(&bytes) {
            listing(&table);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// The same for a musl, whose instructions are read.
    #[test]
    fn a_damaged_musl_does_no_harm(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..400),
    ) {
        let Some(mut bytes) = super::real::library("/lib/ld-musl-x86_64.so.1") else { return Ok(()) };
        let length = bytes.len();
        for (at, value) in damage {
            let at = at.index(length - 64);
            bytes[64 + at] = value;
        }
        if let Ok(table) = compile_in_time(&bytes) {
            listing(&table);
        }
    }
}

/// Code in which every byte begins another instruction that falls through, and all of it is one switch.
#[test]
fn code_made_of_cases_is_read_in_time() {
    let mut code = vec![0xff, 0xe0]; // jmp *%rax
    code.resize(1 << 17, 0xc3); // ret: the next byte is not run into, and could be a case
    let start = Instant::now();
    let stretches = vec![Stretch { address: 0x1000, bytes: &code }];
    let rows = read(stretches, vec![0x1000], &HashSet::new());
    assert!(start.elapsed() < Duration::from_secs(60), "took {:?}", start.elapsed());
    assert_eq!(rows.first_key_value().map(|(address, row)| (*address, row.cfa_offset)), Some((0x1000, 8)));
    assert_eq!(rows.len(), 2);
}
