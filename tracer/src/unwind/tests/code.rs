//! Rows read from instructions: against `.eh_frame` where there is one, and on musl, where there is none.

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
    let Some(libc) = real::library("/lib/x86_64-linux-gnu/libc.so.6") else { return };
    let file = object::File::parse(&libc[..]).unwrap();
    let text = file.section_by_name(".text").unwrap();
    let bytes = text.data().unwrap();
    let never_return = file
        .dynamic_symbols()
        .filter(|s| matches!(s.name(), Ok("exit" | "_exit" | "abort" | "__stack_chk_fail" | "__assert_fail")))
        .map(|s| s.address())
        .collect();
    let truth = Truth::new(&libc);
    let functions: Vec<u64> =
        truth.functions.iter().map(gimli::FrameDescriptionEntry::initial_address).collect();
    let functions: Vec<u64> = functions.collect();
    eprintln!("named {} {:?}", functions.contains(&0x26386), reader::find(&table, 0x26386));
    let rows = read(vec![Stretch { address: text.address(), bytes }], functions, &never_return);

    let table = compile(&libc[..]).unwrap();
    for (a, r) in rows.range(0x26380..0x263a8) {
        eprintln!("{a:x} {r:?}");
    }
    eprintln!("{never_return:x?}");
    let (mut same, mut missing, mut different) = (0, 0, Vec::new());
    for call in Decoder::with_ip(64, bytes, text.address(), DecoderOptions::NONE) {
        if !call.is_call_near() && !call.is_call_near_indirect() {
            continue;
        }
        let Some(expected) = reader::find(&table, call.next_ip() - 1) else { continue };
        match row_at(&rows, call.next_ip() - 1) {
            None => missing += 1,
            Some(Row { cfa: Cfa::End, .. }) => {}
            // where rbp is the frame pointer, both say the same in other words
            Some(found) if found == (Row { pc_low: 0, ..expected }) || expected.cfa == Cfa::Rbp => same += 1,
            Some(found) => different.push(format!("{:x} {found:?} {expected:?}", call.ip())),
        }
    }
    let all = same + missing + different.len();
    assert!(all > 5000, "{all} calls");
    panic!("{all} {same} {missing} {different:#?}");
}
