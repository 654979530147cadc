//! Rows read from instructions: against `.eh_frame` where there is one, and on musl, where there is none.

use std::collections::HashSet;

use gimli::FrameDescriptionEntry;
use iced_x86::{Decoder, DecoderOptions};
use leakhound_ebpf::abi::{Cfa, Row};
use object::{Object, ObjectSection, ObjectSymbol};

use super::{reader, real, truth::Truth};
use crate::unwind::{
    code::{Rows, Stretch, read},
    compile,
};

fn row_at(rows: &Rows, address: u64) -> Option<Row> {
    rows.range(..=address).next_back().map(|(_, row)| *row).filter(|row| row.cfa != Cfa::None)
}

/// At every call in glibc, the rows read from its instructions must be those of its .eh_frame: at calls walks pass.
#[test]
fn instructions_say_what_eh_frame_says() {
    const NEVER_RETURN: &[&str] = &["exit", "_exit", "abort", "__stack_chk_fail", "__assert_fail"];
    let Some(libc) = real::library("/lib/x86_64-linux-gnu/libc.so.6") else { return };
    let file = object::File::parse(&libc[..]).unwrap();
    let text = file.section_by_name(".text").unwrap();
    let bytes = text.data().unwrap();
    let never_return: HashSet<u64> = file
        .dynamic_symbols()
        .filter(|symbol| symbol.name().is_ok_and(|name| NEVER_RETURN.contains(&name)))
        .map(|symbol| symbol.address())
        .collect();
    let table = compile(&libc[..]).unwrap();
    let truth = Truth::new(&libc);
    // an entry that does not begin with a fresh frame is a part of a function that the compiler moved away
    let is_whole = |function: &FrameDescriptionEntry<_>| {
        let row = reader::find(&table, function.initial_address());
        row.is_some_and(|row| (row.cfa, row.cfa_offset) == (Cfa::Rsp, 8))
    };
    let functions = truth.functions.iter().filter(|function| is_whole(function));
    let functions = functions.map(FrameDescriptionEntry::initial_address).collect();
    let rows = read(vec![Stretch { address: text.address(), bytes }], functions, &never_return);

    let (mut same, mut missing, mut different) = (0, 0, Vec::new());
    for call in Decoder::with_ip(64, bytes, text.address(), DecoderOptions::NONE) {
        let pc = call.next_ip() - 1;
        let in_whole_function =
            truth.functions.iter().find(|function| function.contains(pc)).is_some_and(is_whole);
        if !(call.is_call_near() || call.is_call_near_indirect()) || !in_whole_function {
            continue;
        }
        let Some(expected) = reader::find(&table, pc).map(|row| Row { pc_low: 0, ..row }) else { continue };
        match row_at(&rows, pc) {
            None => missing += 1,
            Some(Row { cfa: Cfa::End, .. }) => {}
            // where rbp is the frame pointer, both say the same in other words
            Some(found) if found == expected || expected.cfa == Cfa::Rbp => same += 1,
            Some(found) => different.push(format!("{:x} {found:?} {expected:?}", call.ip())),
        }
    }
    panic!("{same} {missing} {different:#?}");
}
