//! Files that lie.

use std::{fs::File, io::Write, path::Path};

use object::{Object, ObjectSection};
use proptest::prelude::*;

use super::{
    super::{bytes::MOST_IN_MEMORY, *},
    functions,
    programs::{Folder, INLINED, LEAKY, address, range},
};

fn open(bytes: &[u8]) -> Option<Image> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Image::from_file("damaged", file).ok()
}

/// Where a section's content lies in the file.
fn place(bytes: &[u8], name: &str) -> std::ops::Range<usize> {
    let elf = object::File::parse(bytes).unwrap();
    let section = elf.section_by_name(name).unwrap_or_else(|| panic!("no {name}"));
    let (start, size) = section.file_range().unwrap();
    usize::try_from(start).unwrap()..usize::try_from(start + size).unwrap()
}

fn leaky(folder: &Folder, flags: &[&str]) -> (Vec<u8>, u64) {
    let program = folder.compile("cc", "leaky.c", LEAKY, &[&["-g", "-O1"], flags].concat());
    let address = address(&program, "leak");
    (std::fs::read(program).unwrap(), address)
}

#[test]
fn damaged_debug_information_leaves_the_symbol_table() {
    let folder = Folder::new();
    let (bytes, address) = leaky(&folder, &[]);
    for section in [".debug_info", ".debug_abbrev", ".debug_line", ".debug_str"] {
        let mut damaged = bytes.clone();
        damaged[place(&bytes, section)].fill(0xff);
        let image = open(&damaged).unwrap();
        let mut symbolizer = Symbolizer::default();
        for _ in 0..2 {
            let frames = symbolizer.frames(&image, None, &[address, address]);
            assert!(frames.iter().all(|frames| functions(frames) == ["leak"]), "{section}");
        }
        assert_eq!(symbolizer.stats.named, 4, "{section}");
        assert_eq!(symbolizer.stats.files_damaged, u64::from(section == ".debug_info"), "{section}");
    }
}

#[test]
fn a_section_that_claims_to_unpack_to_more_than_the_machine_has_is_refused() {
    let folder = Folder::new();
    let (bytes, address) = leaky(&folder, &["-gz"]);
    let header = place(&bytes, ".debug_info");
    let mut damaged = bytes.clone();
    damaged[header.start + 8..header.start + 16].copy_from_slice(&(1_u64 << 46).to_le_bytes());
    let mut symbolizer = Symbolizer::default();
    let frames = symbolizer.frames(&open(&damaged).unwrap(), None, &[address]);
    assert_eq!(functions(&frames[0]), ["leak"]);
    assert_eq!((symbolizer.stats.files_damaged, symbolizer.stats.with_line), (1, 0));
}

#[test]
fn a_packed_symbol_table_that_unpacks_without_end_is_cut() {
    let folder = Folder::new();
    let program = folder.compile("cc", "leaky.c", LEAKY, &["-O1", "-s"]);
    // 256 MiB of zeros in 40 kB
    let zeros = folder.path("zeros");
    File::create(&zeros).unwrap().set_len(256 << 20).unwrap();
    folder.run("xz", &["-0".as_ref(), "-T2".as_ref(), zeros.as_os_str()]);
    let section = format!(".gnu_debugdata={}", folder.path("zeros.xz").display());
    folder.run("objcopy", &["--add-section".as_ref(), section.as_ref(), program.as_os_str()]);
    let mut symbolizer = Symbolizer::default();
    assert!(symbolizer.frames(&Image::open_path(&program).unwrap(), None, &[0x1234])[0].is_empty());
    assert_eq!(symbolizer.stats.files_damaged, 1);
}

#[test]
fn hostile_links_open_nothing() {
    let folder = Folder::new();
    let (bytes, _) = leaky(&folder, &[]);
    let program = folder.path("leaky");
    let debug = folder.path("d.debug");
    folder.run("objcopy", &["--only-keep-debug".as_ref(), program.as_os_str(), debug.as_os_str()]);
    folder.run("strip", &[program.as_os_str()]);
    folder.run("objcopy", &["--add-gnu-debuglink=d.debug".as_ref(), program.as_os_str()]);
    let linked = std::fs::read(&program).unwrap();
    assert!(bytes.len() > linked.len());
    let own = Some(crate::process::ProcessId { pid: std::process::id(), start_ticks: 0 });
    let find = |bytes: &[u8]| {
        std::fs::write(&program, bytes).unwrap();
        debug_file::find(&Image::open_path(&program).unwrap(), own, &[])
    };
    assert!(find(&linked).is_some());
    let section = place(&linked, ".gnu_debuglink");
    for name in [&b"../d.de"[..], b"/d.debu", b"\0.debug", b"d\0debug", b"\xff.debug", b"ddddddd"] {
        let mut hostile = linked.clone();
        hostile[section.start..section.start + name.len()].copy_from_slice(name);
        assert!(find(&hostile).is_none(), "{name:?}");
    }
    let mut endless = linked.clone();
    endless[section].fill(b'a');
    assert!(find(&endless).is_none());
}

/// Changes bytes of a program, mostly where names and lines are told.
fn mutated(bytes: &[u8], changes: &[(prop::sample::Index, u8)], cut: Option<prop::sample::Index>) -> Vec<u8> {
    let elf = object::File::parse(bytes).unwrap();
    let told = [".debug_", ".symtab", ".strtab", ".dynsym", ".gnu_debug", ".note.gnu.build-id"];
    let mut targets: Vec<usize> = (0..64).collect();
    for section in elf.sections() {
        let name = section.name().unwrap_or_default();
        if let Some((start, size)) = section.file_range()
            && told.iter().any(|part| name.starts_with(part))
        {
            let start = usize::try_from(start).unwrap();
            targets.extend(start..start + usize::try_from(size).unwrap());
        }
    }
    let headers = usize::try_from(u64::from_le_bytes(bytes[40..48].try_into().unwrap())).unwrap();
    targets.extend(headers..bytes.len());
    let mut changed = bytes.to_vec();
    for (at, value) in changes {
        changed[targets[at.index(targets.len())]] = *value;
    }
    if let Some(cut) = cut {
        changed.truncate(cut.index(bytes.len()));
    }
    changed
}

fn symbolize_all(bytes: &[u8], addresses: &[u64]) {
    if let Some(image) = open(bytes) {
        let _ = debug_file::find(&image, None, &[Path::new("/nonexistent").to_owned()]);
        let with_debug = DebugFile { image: open(bytes).unwrap(), supplementary: open(bytes) };
        for memory in [0, MOST_IN_MEMORY] {
            let allowance = Allowance { memory, ..Allowance::default() };
            let mut symbolizer = Symbolizer { allowance, ..Symbolizer::default() };
            let frames = symbolizer.frames(&image, Some(&with_debug), addresses);
            assert_eq!(frames.len(), addresses.len());
            let stats = symbolizer.stats;
            assert_eq!(stats.named + stats.unnamed, addresses.len() as u64);
        }
    }
}

fn programs() -> Vec<(Vec<u8>, Vec<u64>)> {
    let folder = Folder::new();
    let mut all = Vec::new();
    for flags in [&["-gdwarf-4"][..], &["-gdwarf-5"], &["-gz"]] {
        let program = folder.compile("c++", "inlined.cpp", INLINED, &[&["-O2"], flags].concat());
        let range = range(&program, "_ZN4shop4fillEi");
        let addresses = range.chain([0, 1, 0x1000, u64::MAX]).collect();
        all.push((std::fs::read(program).unwrap(), addresses));
    }
    all
}

#[test]
fn no_damage_ends_us() {
    let programs = programs();
    let runs = std::env::var("PROPTEST_CASES").ok().and_then(|runs| runs.parse().ok()).unwrap_or(200);
    let config = ProptestConfig { cases: runs, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(
        which in 0..programs.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    )| {
        let (bytes, addresses) = &programs[which];
        symbolize_all(&mutated(bytes, &changes, cut), addresses);
    });
}

/// A function whose debug information says: a million calls inlined into one another.
const NESTED: &str = r#"
    .globl leak
    .type leak, @function
    .text
leak:
    ret
    .skip 62
    ret
    .size leak, .-leak
    .section .debug_abbrev, "", @progbits
    .uleb128 1, 0x11, 1, 0x11, 0x01, 0x12, 0x07, 0, 0   # compile unit: low_pc, high_pc
    .uleb128 2, 0x2e, 1, 0x11, 0x01, 0x12, 0x07, 0, 0   # subprogram: low_pc, high_pc
    .uleb128 3, 0x1d, 1, 0, 0                           # inlined subroutine
    .byte 0
    .section .debug_info, "", @progbits
    .long end - start
start:
    .short 4
    .long .debug_abbrev
    .byte 8
    .uleb128 1
    .quad leak, 64
    .uleb128 2
    .quad leak, 64
    .rept 1000000
    .byte 3
    .endr
end:
"#;

#[test]
fn nesting_without_end_is_refused() {
    let folder = Folder::new();
    let library = folder.compile("cc", "nested.s", NESTED, &["-shared", "-nostdlib"]);
    let mut symbolizer = Symbolizer::default();
    let address = address(&library, "leak");
    let frames = symbolizer.frames(&Image::open_path(&library).unwrap(), None, &[address]);
    assert_eq!(functions(&frames[0]), ["leak"]);
    assert_eq!(symbolizer.stats.files_damaged, 1);
}
