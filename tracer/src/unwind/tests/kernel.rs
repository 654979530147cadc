//! The kernel side itself walks the stacks of `walk.c`, and must see what libgcc's unwinder sees.

use std::time::Duration;

use leakhound_ebpf::abi::{self, Operation, ProcessNumber, WalkEnd};

use super::walk::{BLOCK_SIZE, Program, SOURCE, build, hex};
use crate::{allocator, heap::Heap, kernel_side::Constants, rung::Rung, settings::Capacity};

#[test]
fn the_kernel_walks_every_kind_of_frame() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "CI must run this as root");
        eprintln!("SKIPPED: probing needs root");
        return;
    }
    for flags in [
        &["-O2", "-fomit-frame-pointer"][..],
        &["-O2", "-fno-omit-frame-pointer"],
        &["-O2", "-static-pie"],
        &["-O0", "-no-pie"],
    ] {
        let directory = tempfile::tempdir().unwrap();
        let Some(program) = build(directory.path(), "gcc", SOURCE, flags) else { return };
        for arguments in [&[][..], &["thread"]] {
            let mut program = Program::start(&program, arguments);
            let heap = probe(&program);
            let said = program.descend();
            let blocks = heap.0.side.blocks().unwrap();
            assert_eq!(blocks.len(), 1, "{flags:?} {arguments:?}: {:?}", heap.0.side.ledger());
            assert_eq!(blocks[0].1.size, BLOCK_SIZE);
            let stack = heap.0.side.stack(blocks[0].1.stack).unwrap().unwrap();
            let frames = &stack.address[..stack.length as usize];
            assert_eq!(hex(&frames[1..]), hex(&said.frames[1..]), "{flags:?} {arguments:?}");
            assert_eq!(stack.end, WalkEnd::Complete as u8);
        }
    }
}

/// Probes the allocator of a program that has not begun, for blocks as large as its one.
fn probe(program: &Program) -> (Heap, Vec<crate::rung::Attachment>) {
    let modules = program.modules();
    let count = |count: fn(&crate::unwind::UnwindTable) -> usize| {
        let total: usize = modules.iter().filter_map(|module| module.table.as_ref()).map(count).sum();
        u32::try_from(total).unwrap()
    };
    let capacity = Capacity {
        blocks: 1024,
        counters: 1024,
        stacks: 64,
        rows: count(|table| table.rows.len()),
        pages: count(|table| table.pages.len()),
        stream: 4096,
    };
    let constants = Constants { cohort: Duration::from_secs(1), min_size: BLOCK_SIZE, rationed: false };
    let rung = *Rung::LADDER.iter().find(|rung| crate::rung::prove(**rung).is_ok()).unwrap();
    let mut heap = Heap::load(rung, constants, capacity, false).unwrap();

    let mut process = Box::new(abi::Process {
        mapping_count: 0,
        pad: 0,
        mapping: [abi::Mapping::default(); abi::MAX_MAPPINGS],
        set_ns: 0,
    });
    for (mapping, module) in process.mapping.iter_mut().zip(&modules) {
        let mut entry =
            abi::Mapping { start: module.mapping.start, end: module.mapping.end, ..abi::Mapping::default() };
        if let Some(table) = &module.table {
            let pages = table.pages.iter().map(|page| (page.first, page.end));
            let place = heap.unwind.add(&table.rows, pages).unwrap();
            entry.bias = module.bias.wrapping_add(table.first_address);
            (entry.first_page, entry.page_count) = (place.first_page, place.page_count);
        }
        *mapping = entry;
        process.mapping_count += 1;
    }
    heap.side.set_process(0, &process).unwrap();

    let mut attached = Vec::new();
    for module in &modules {
        let Some(path) = module.image.fd_path() else { continue };
        for found in allocator::find(&module.image.path, &module.image.data(), None, None).unwrap() {
            let calls = found.sites.iter().filter(|site| site.shape.operation != Operation::Free);
            let sites: Vec<_> = calls
                .map(|site| (site.file_offset, site.shape.cookie(site.hook, false, ProcessNumber::default())))
                .collect();
            attached.extend(
                heap.probes.attach_calls(&mut heap.side.object, &path, &sites, program.pid()).unwrap(),
            );
        }
    }
    assert!(!attached.is_empty(), "no allocator found");
    (heap, attached)
}
