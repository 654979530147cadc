//! Real libraries: for every function, our rows against gimli's own evaluator.

use std::{fs, ops::Range, path::Path, sync::OnceLock};

use leakhound_ebpf::abi::Cfa;
use object::{Object, ObjectSection};

use super::{
    listing,
    reader::{self, Registers, Step},
    truth::Truth,
};
use crate::{
    image::Image,
    maps::{self, MapPath},
    process::ProcessId,
    unwind::{UnwindStats, compile},
};

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

pub(super) fn loader() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| fs::read(LOADER).expect("the dynamic loader of this machine"))
}

pub(super) fn eh_frame_range(data: &[u8]) -> Range<usize> {
    let file = object::File::parse(data).unwrap();
    let (offset, size) = file.section_by_name(".eh_frame").unwrap().file_range().unwrap();
    offset as usize..(offset + size) as usize
}

/// Memory with something at every address, which depends on the address alone.
fn invented(address: u64) -> u64 {
    address.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) | 1
}

/// Compares the first, the middle and the last byte of every `stride`-th function.
fn compare(name: &str, data: &[u8], stride: usize) -> UnwindStats {
    let table = compile(data).unwrap();
    listing(&table);
    let truth = Truth::new(data);
    let memory = |address| Some(invented(address));
    let (mut compared, mut unsupported) = (0, 0);
    for function in truth.functions.iter().step_by(stride).filter(|function| function.len() > 0) {
        let start = function.initial_address();
        for pc in [start, start + function.len() / 2, start + function.len() - 1] {
            let at = Registers { ip: pc, sp: 0x7ffc_0000_1000, bp: Some(0x7ffc_0000_2000) };
            let row = reader::find(&table, pc).unwrap_or_else(|| panic!("{name}: no row for {pc:#x}"));
            compared += 1;
            if row.cfa == Cfa::Unsupported {
                unsupported += 1;
                continue;
            }
            let expected = truth
                .step(function, at, &memory)
                .unwrap_or_else(|| panic!("{name} {pc:#x}: {row:?} for a rule that needs more registers"));
            match (reader::step(row, at, pc, &memory), expected) {
                // a lost rbp is counted; a wrong one is a bug
                (Step::Caller(ours, is_return), Step::Caller(truth, truth_is_return)) => {
                    assert_eq!(
                        (ours.ip, ours.sp, is_return),
                        (truth.ip, truth.sp, truth_is_return),
                        "{name} {pc:#x}: {row:?}"
                    );
                    assert!(ours.bp.is_none() || ours.bp == truth.bp, "{name} {pc:#x}: rbp by {row:?}");
                }
                (ours, truth) => assert_eq!(ours, truth, "{name} {pc:#x}: {row:?}"),
            }
        }
    }
    assert!(compared > 0, "{name}: nothing compared");
    assert!(unsupported * 50 <= compared, "{name}: {unsupported} of {compared} places unsupported");
    table.stats
}

/// Reads a library; `None`, loudly, when this machine does not have it and is not CI.
pub(super) fn library(path: &str) -> Option<Vec<u8>> {
    if !Path::new(path).exists() {
        assert!(std::env::var_os("CI").is_none(), "CI must have {path}");
        eprintln!("SKIPPED: {path} is not installed");
        return None;
    }
    Some(fs::read(path).unwrap())
}

#[test]
fn libc_unwinds_like_gimli_says() {
    let Some(libc) = library("/lib/x86_64-linux-gnu/libc.so.6") else { return };
    let stats = compare("libc", &libc, 1);
    assert!(stats.signal >= 1, "__restore_rt is not a signal trampoline: {stats:?}");
    assert!(stats.plt >= 1 && stats.fdes > 3000 && stats.bad_entries == 0, "{stats:?}");
}

#[test]
fn the_loader_unwinds_like_gimli_says() {
    let stats = compare("ld.so", loader(), 1);
    assert_eq!(stats.bad_entries, 0);
}

#[test]
fn the_cpp_library_unwinds_like_gimli_says() {
    let Some(libstdcpp) = library("/usr/lib/x86_64-linux-gnu/libstdc++.so.6") else { return };
    let stats = compare("libstdc++", &libstdcpp, 1);
    assert_eq!((stats.bad_entries, stats.unsupported), (0, 0));
}

#[test]
fn a_cryptography_library_with_hand_written_rules_unwinds_like_gimli_says() {
    let Some(libcrypto) = library("/usr/lib/x86_64-linux-gnu/libcrypto.so.3") else { return };
    let stats = compare("libcrypto", &libcrypto, 1);
    assert!(stats.deref > 0, "{stats:?}");
}

#[test]
fn this_program_unwinds_like_gimli_says() {
    let bytes = fs::read("/proc/self/exe").unwrap();
    compare("this test", &bytes, 7);
}

#[test]
fn the_vdso_unwinds_like_gimli_says() {
    let stat = procfs::process::Process::myself().unwrap().stat().unwrap();
    let me = ProcessId { pid: std::process::id(), start_ticks: stat.starttime };
    let mappings = maps::executable(me).unwrap();
    let vdso = mappings.iter().find(|mapping| mapping.path == MapPath::Vdso).expect("a vDSO");
    let image = Image::open(me, vdso).unwrap();
    let cache = image.data();
    let table = compile(&cache).unwrap();
    listing(&table);
    assert!(table.stats.fdes >= 4, "{:?}", table.stats);

    let mut bytes = vec![0; (vdso.end - vdso.start) as usize];
    std::os::unix::fs::FileExt::read_exact_at(
        &fs::File::open("/proc/self/mem").unwrap(),
        &mut bytes,
        vdso.start,
    )
    .unwrap();
    let stats = compare("vdso", &bytes, 1);
    assert_eq!(stats, table.stats);
}
