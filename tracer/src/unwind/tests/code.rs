//! Rows read from instructions: against `.eh_frame` where there is one, and on musl, where there is none.

use std::collections::HashSet;

use iced_x86::{Decoder, DecoderOptions};
use leakhound_ebpf::abi::{Cfa, Row};
use object::{Object, ObjectSection, ObjectSymbol};

use super::{
    reader, real,
    truth::Truth,
    walk::{Program, build, hex},
};
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
    let mut functions: Vec<(u64, u64)> = truth
        .functions
        .iter()
        .map(|function| (function.initial_address(), function.end_address()))
        .filter(|(start, _)| {
            reader::find(&table, *start).is_some_and(|row| (row.cfa, row.cfa_offset) == (Cfa::Rsp, 8))
        })
        .collect();
    functions.sort_unstable();
    let starts = functions.iter().map(|(start, _)| *start).collect();
    let rows = read(vec![Stretch { address: text.address(), bytes }], starts, &never_return);

    let (mut same, mut missing, mut different) = (0, 0, Vec::new());
    for call in Decoder::with_ip(64, bytes, text.address(), DecoderOptions::NONE) {
        let pc = call.next_ip() - 1;
        let before = functions[..functions.partition_point(|(start, _)| *start <= pc)].last();
        let in_function = before.is_some_and(|(_, end)| pc < *end);
        if !(call.is_call_near() || call.is_call_near_indirect()) || !in_function {
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
    eprintln!("of the calls in libc, {same} agree, {missing} are not reached");
    assert!(different.is_empty(), "{different:#?}");
    assert!(same > 5000 && missing * 200 < same, "{same} agree, {missing} are not reached");
}

/// musl itself: the walk must pass every place that the program's functions said they return to, and end.
fn walks_through_musl(flags: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = build(directory.path(), "musl-gcc", include_str!("musl.c"), flags) else { return };
    for arguments in [&[][..], &["thread"]] {
        let mut program = Program::start(&program, arguments);
        let said = program.descend();
        let (frames, kinds) = program.walk(said.registers);
        let mut rest = frames.iter();
        for returns_to in said.frames.iter().rev() {
            assert!(
                rest.any(|frame| frame == returns_to),
                "{flags:?} {arguments:?}: {returns_to:x} is not among {:?}, by {kinds:?}",
                hex(&frames)
            );
        }
        assert_eq!(kinds.last(), Some(&Cfa::End), "{flags:?} {arguments:?}: {kinds:?}");
        assert!(kinds.contains(&Cfa::Signal), "{kinds:?}");
        assert!(!kinds.contains(&Cfa::None), "{kinds:?}");
    }
}

#[test]
fn musl_is_walked_without_unwind_information() {
    walks_through_musl(&["-O2"]);
}

#[test]
fn a_musl_linked_into_the_program_is_walked() {
    walks_through_musl(&["-O2", "-static"]);
    walks_through_musl(&["-O2", "-static-pie"]);
}
