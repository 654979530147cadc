#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "test data are small numbers"
)]

mod code;
mod elf;
mod hostile;
mod kernel;
mod reader;
mod real;
mod truth;
mod walk;

use gimli::constants as dw;
use leakhound_ebpf::abi::{Cfa, Row};
use proptest::prelude::*;

use super::{UnwindError, UnwindTable, compile, rows::Builder, rule::bare};
use elf::{CFA_RSP_8, Elf, Frames};

const DEF_CFA_OFFSET: u8 = dw::DW_CFA_def_cfa_offset.0;
const OFFSET_RBP: u8 = dw::DW_CFA_offset.0 | 6;
const RESTORE_RBP: u8 = dw::DW_CFA_restore.0 | 6;

fn advance(bytes: u8) -> u8 {
    dw::DW_CFA_advance_loc.0 | bytes
}

fn cfa(cfa: Cfa, cfa_offset: i32, rbp_offset: i32) -> Row {
    Row { cfa_offset, rbp_offset, ..bare(cfa) }
}

/// The table as (address, rule), its page index checked on the way.
fn listing(table: &UnwindTable) -> Vec<(u64, Row)> {
    let mut out = Vec::new();
    let mut next = 0;
    for (number, page) in table.pages.iter().enumerate() {
        assert_eq!(page.first, next, "page {number} does not go on where the last one ended");
        next = page.end;
        let rows: Vec<Row> =
            table.rows[page.first as usize..page.end as usize].iter().map(|r| reader::unpack(*r)).collect();
        assert!(rows.is_sorted_by(|a, b| a.pc_low < b.pc_low), "page {number} is not sorted");
        for row in rows {
            let address = table.first_address + number as u64 * 4096 + u64::from(row.pc_low);
            out.push((address, Row { pc_low: 0, ..row }));
        }
    }
    assert_eq!(next as usize, table.rows.len(), "rows beyond the last page");
    assert_eq!(table.rows[0] & 0xfff, 0, "the first page begins without a row");
    assert_eq!(table.stats.rows, table.rows.len());
    assert!(out.windows(2).all(|pair| pair[0].1 != pair[1].1), "equal neighbours");
    out
}

#[test]
fn a_small_file_compiles_to_the_rows_known_by_hand() {
    let mut frames = Frames::eh_frame();
    let cie = frames.cie("", CFA_RSP_8);
    let signal = frames.cie("S", CFA_RSP_8);
    // push %rbp; sub $32, %rsp; ...; add; pop; ret
    let program = [
        advance(1),
        DEF_CFA_OFFSET,
        16,
        OFFSET_RBP,
        2, // cfa is rsp + 16, rbp saved 16 below it
        advance(4),
        DEF_CFA_OFFSET,
        48,
        advance(40),
        DEF_CFA_OFFSET,
        16,
        advance(1),
        DEF_CFA_OFFSET,
        8,
        RESTORE_RBP,
    ];
    frames.fde(cie, 0x1010, 0x40, &program);
    // _start: no return address
    frames.fde(cie, 0x1060, 0x20, &[dw::DW_CFA_undefined.0, 16]);
    // alloca: cfa is rbp + 16
    frames.fde(cie, 0x1080, 0x10, &[dw::DW_CFA_def_cfa.0, 6, 16, OFFSET_RBP, 2]);
    frames.fde(signal, 0x1090, 0x10, &[]);
    // a linkage table, and a realigned stack: *(rbp - 8)
    let plt =
        [dw::DW_CFA_def_cfa_expression.0, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
    frames.fde(cie, 0x2000, 0x20, &plt);
    let realigned =
        [dw::DW_CFA_def_cfa_expression.0, 3, 0x76, 0x78, 0x06, dw::DW_CFA_expression.0, 6, 2, 0x76, 0];
    frames.fde(cie, 0x2020, 0x20, &realigned);
    // *(rsp + 32) + 8, as OpenSSL writes it
    frames.fde(cie, 0x2040, 0x20, &[dw::DW_CFA_def_cfa_expression.0, 5, 0x77, 32, 0x06, 0x23, 8]);
    // rbp in rbx; a frame of a megabyte
    frames.fde(cie, 0x2060, 0x20, &[dw::DW_CFA_register.0, 6, 3, DEF_CFA_OFFSET, 0x88, 0x80, 0x40]);
    // cfa in r10; an offset that is no multiple of 8
    frames.fde(cie, 0x4000, 0x10, &[dw::DW_CFA_def_cfa.0, 10, 0]);
    frames.fde(cie, 0x4010, 0x08, &[DEF_CFA_OFFSET, 12]);

    let table = compile(&Elf::new(0x1000..0x9000, frames).bytes()[..]).unwrap();
    let expected = [
        (0x1000, bare(Cfa::None)),
        (0x1010, cfa(Cfa::Rsp, 8, 0)),
        (0x1011, cfa(Cfa::Rsp, 16, -16)),
        (0x1015, cfa(Cfa::Rsp, 48, -16)),
        (0x103d, cfa(Cfa::Rsp, 16, -16)),
        (0x103e, cfa(Cfa::Rsp, 8, 0)),
        (0x1050, bare(Cfa::None)),
        (0x1060, bare(Cfa::End)),
        (0x1080, cfa(Cfa::Rbp, 16, -16)),
        (0x1090, bare(Cfa::Signal)),
        (0x10a0, bare(Cfa::None)),
        (0x2000, Row { add: 11, ..bare(Cfa::Plt) }),
        (0x2020, cfa(Cfa::Realigned, -8, 0)),
        (0x2040, Row { add: 8, ..cfa(Cfa::DerefRsp, 32, 0) }),
        (0x2060, cfa(Cfa::Rsp, (1 << 20) + 8, 8)),
        (0x2080, bare(Cfa::None)),
        (0x4000, bare(Cfa::Unsupported)),
        (0x4018, bare(Cfa::None)),
    ];
    assert_eq!(listing(&table), expected);
    assert_eq!(table.first_address, 0x1000);
    let stats = table.stats;
    assert_eq!((stats.fdes, stats.plt, stats.deref, stats.signal), (10, 1, 2, 1));
    assert_eq!((stats.unsupported, stats.does_not_fit, stats.rbp_lost, stats.bad_entries), (2, 1, 1, 0));
}

#[test]
fn an_address_in_a_later_page_finds_the_row_carried_in() {
    let mut frames = Frames::eh_frame();
    let cie = frames.cie("", CFA_RSP_8);
    frames.fde(cie, 0x1ff0, 0x5020, &[advance(4), DEF_CFA_OFFSET, 16]);
    let table = compile(&Elf::new(0x1000..0x9000, frames).bytes()[..]).unwrap();
    assert_eq!(table.pages.len(), 7);
    for (address, expected) in [
        (0x0fff, None),
        (0x1000, Some(Cfa::None)),
        (0x1fef, Some(Cfa::None)),
        (0x1ff0, Some(Cfa::Rsp)),
        (0x4abc, Some(Cfa::Rsp)),
        (0x700f, Some(Cfa::Rsp)),
        (0x7010, Some(Cfa::None)),
        (0x7fff, Some(Cfa::None)),
        (0x8000, None),
    ] {
        assert_eq!(reader::find(&table, address).map(|row| row.cfa), expected, "{address:#x}");
    }
    assert_eq!(reader::find(&table, 0x5000).unwrap().cfa_offset, 16);
}

#[test]
fn a_program_linked_at_a_high_address_needs_no_pages_below_it() {
    let base = 0x7fff_ff00_0000;
    let mut frames = Frames::eh_frame();
    let cie = frames.cie("", CFA_RSP_8);
    frames.fde(cie, base + 0x123, 0x40, &[]);
    let table = compile(&Elf::new(base..base + 0x1000, frames).bytes()[..]).unwrap();
    assert_eq!((table.first_address, table.pages.len()), (base, 1));
    assert_eq!(reader::find(&table, base + 0x123).unwrap().cfa, Cfa::Rsp);
}

#[test]
fn debug_frame_is_read_where_eh_frame_says_nothing() {
    let mut debug = Frames::debug_frame();
    let cie = debug.cie("", CFA_RSP_8);
    debug.fde(cie, 0x1000, 0x20, &[DEF_CFA_OFFSET, 24]);
    debug.fde(cie, 0x1040, 0x20, &[DEF_CFA_OFFSET, 24]);
    let mut frames = Frames::eh_frame();
    let cie = frames.cie("", CFA_RSP_8);
    frames.fde(cie, 0x1000, 0x20, &[DEF_CFA_OFFSET, 16]);
    let mut elf = Elf::new(0x1000..0x2000, frames);
    elf.debug_frame = debug.bytes;

    let both = compile(&elf.bytes()[..]).unwrap();
    let offsets = |table: &UnwindTable| {
        listing(table).into_iter().map(|(address, row)| (address, row.cfa_offset)).collect::<Vec<_>>()
    };
    assert_eq!(offsets(&both), [(0x1000, 16), (0x1020, 0), (0x1040, 24), (0x1060, 0)]);
    assert_eq!(both.stats.overlapping, 0);
    elf.eh_frame = Vec::new();
    let debug = compile(&elf.bytes()[..]).unwrap();
    assert_eq!(offsets(&debug), [(0x1000, 24), (0x1020, 0), (0x1040, 24), (0x1060, 0)]);
}

#[test]
fn eh_frame_is_found_without_section_headers() {
    let mut frames = Frames::eh_frame();
    let cie = frames.cie("", CFA_RSP_8);
    frames.fde(cie, 0x1010, 0x20, &[]);
    let mut elf = Elf::new(0x1000..0x2000, frames.terminate());
    let with = compile(&elf.bytes()[..]).unwrap();
    elf.sections = false;
    let without = compile(&elf.bytes()[..]).unwrap();
    assert_eq!(with, without);
    assert_eq!(without.stats.bad_entries, 0, "what follows the terminator was read");
}

#[test]
fn overlapping_functions_are_cut_and_counted() {
    let mut frames = Frames::eh_frame();
    let cie = frames.cie("", CFA_RSP_8);
    frames.fde(cie, 0x1020, 0x10, &[DEF_CFA_OFFSET, 32]);
    frames.fde(cie, 0x1000, 0x80, &[advance(0x30), DEF_CFA_OFFSET, 16]);
    frames.fde(cie, 0x1000, 0x40, &[DEF_CFA_OFFSET, 24]); // begins with another: the first one listed stays
    let table = compile(&Elf::new(0x1000..0x2000, frames).bytes()[..]).unwrap();
    let expected = [(0x1000, cfa(Cfa::Rsp, 8, 0)), (0x1020, cfa(Cfa::Rsp, 32, 0)), (0x1030, bare(Cfa::None))];
    assert_eq!(listing(&table), expected);
    assert_eq!(table.stats.overlapping, 2);
}

proptest! {
    /// A search in the table finds the same rule as a walk over the functions one by one.
    #[test]
    fn any_functions_are_found_again(
        functions in prop::collection::vec((0_u64..0x6000, 1_u64..0x2000, 1_u8..6), 1..20),
        base in (1_u64..0x1000).prop_map(|page| page << 12),
    ) {
        let mut frames = Frames::eh_frame();
        let cie = frames.cie("", CFA_RSP_8);
        for (start, length, words) in &functions {
            frames.fde(cie, base + start, *length, &[DEF_CFA_OFFSET, words * 8]);
        }
        let table = compile(&Elf::new(base..base + 0x9000, frames).bytes()[..]).unwrap();
        listing(&table);
        for address in (0..0x8000).step_by(61) {
            // of the functions that begin at or before it, the nearest one decides
            let nearest = functions
                .iter()
                .rev()
                .filter(|(start, ..)| *start <= address)
                .max_by_key(|(start, ..)| *start)
                .filter(|(start, length, _)| address < start + length);
            let found = reader::find(&table, base + address).filter(|row| row.cfa == Cfa::Rsp);
            prop_assert_eq!(
                found.map(|row| row.cfa_offset),
                nearest.map(|(.., words)| i32::from(*words) * 8),
                "{:#x}", address
            );
        }
    }
}

#[test]
fn a_table_has_a_largest_size() {
    let mut table = Builder::new(0x1000, 0x1000 + (4 << 30)).unwrap();
    assert!(Builder::new(0x1000, 0x1001 + (4 << 30)).is_none());
    let error = (0..u64::MAX)
        .find_map(|i| table.push(0x1000 + i, cfa(Cfa::Rsp, 8 + 8 * (i as i32 & 1), 0)).err())
        .unwrap();
    assert!(matches!(error, UnwindError::TooManyRows(super::MAX_ROWS)));
}
