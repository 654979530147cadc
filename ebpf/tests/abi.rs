//! `abi.h` and `abi.rs` describe the same structures: clang itself compares them, for the machine the programs run on.

use std::{
    fmt::Write,
    mem::{offset_of, size_of},
    process::Command,
};

use leakhound_ebpf::abi::{
    Amounts, Block, BlockKey, CERTAIN, Cfa, CounterKey, Counters, Effort, EffortKind, EndedBlock,
    KERNEL_STACK, KernelEvent, LEDGER_LENGTH, Ledger, MAX_FRAMES, MAX_MAPPINGS, MAX_PROCESSES, Mapping,
    NO_HOOK, News, Operation, PROBES_PAGE, Process, ProcessNews, ProcessNumber, Row, SAMPLE_SHIFTS, Shape,
    Stack, VARIANCE_UNIT, WEIGHT_ONE, WalkEnd,
};

macro_rules! compare {
    ($text:ident, $rust:ident = $c:literal { $($field:ident),* }) => {
        let _ = writeln!($text, "_Static_assert(sizeof(struct {}) == {}, \"size\");", $c, size_of::<$rust>());
        $(let _ = writeln!(
            $text,
            "_Static_assert(__builtin_offsetof(struct {}, {}) == {}, \"offset\");",
            $c,
            stringify!($field),
            offset_of!($rust, $field),
        );)*
    };
}

#[test]
fn both_sides_agree_on_structures_and_numbers() {
    let mut text = String::from("#include \"vmlinux.h\"\n#include \"abi.h\"\n#include \"sampling.h\"\n");
    compare!(text, BlockKey = "block_key" { address, process, pad });
    compare!(text, Block = "block" { size, stack, allocated_ns, cohort, shift, pad, tid });
    compare!(text, CounterKey = "counter_key" { stack, cohort, pad });
    compare!(text, Amounts = "amounts" { bytes, count, represented, variance });
    compare!(text, Counters = "counters" { allocated, freed });
    compare!(
        text,
        EndedBlock =
            "ended_block" { address, size, stack, allocated_ns, freed_ns, process, tid, freed_tid, shift }
    );
    compare!(text, ProcessNews = "process_news" { what, number });
    compare!(text, Effort = "effort" { runs, timed, timed_ns });
    compare!(text, Stack = "stack" { length, process, hook, end, interrupted, pad, address });
    compare!(text, Mapping = "mapping" { start, end, bias, first_page, page_count });
    compare!(text, Process = "process" { mapping_count, pad, mapping, set_ns });

    let shape = Shape { operation: Operation::Reallocate, size: 3, count: 2, pointer: 1 };
    let cookie = shape.cookie(0x1234, true, ProcessNumber::new(0x56, 0x78));
    let row = Row { pc_low: 0xabc, cfa: Cfa::DerefRbp, cfa_offset: 16, rbp_offset: -16, add: -8 };
    let numbers = [
        ("MAX_FRAMES", MAX_FRAMES as u64),
        ("MAX_MAPPINGS", MAX_MAPPINGS as u64),
        ("MAX_PROCESSES", MAX_PROCESSES as u64),
        ("LEDGER_LENGTH", LEDGER_LENGTH as u64),
        ("WALK_TRUNCATED", WalkEnd::Truncated as u64),
        ("WALK_RETURN_PROBE", WalkEnd::ReturnProbe as u64),
        ("PROBES_PAGE", u64::from(PROBES_PAGE)),
        ("LEDGER_WALKS_RETURN_PROBE", Ledger::WalksReturnProbe as u64),
        ("WALK_NO_ROWS", WalkEnd::NoRows as u64),
        ("CFA_UNSUPPORTED", Cfa::Unsupported as u64),
        ("CFA_PLT", Cfa::Plt as u64),
        ("OP_FREE", Operation::Free as u64),
        ("LEDGER_WALKS_COMPLETE", Ledger::WalksComplete as u64),
        ("LEDGER_UNREADABLE_OUT", Ledger::UnreadableOut as u64),
        ("LEDGER_BLOCKS_FULL", Ledger::BlocksFull as u64),
        ("LEDGER_STREAM_LOST", Ledger::StreamLost as u64),
        ("NEWS_EXECUTED", News::Executed as u64),
        ("CERTAIN", CERTAIN),
        ("WEIGHT_ONE", WEIGHT_ONE),
        ("1 << 2 * VARIANCE_BITS", VARIANCE_UNIT),
        ("SAMPLE_SHIFT_LEAST", u64::from(*SAMPLE_SHIFTS.start())),
        ("SAMPLE_SHIFT_MOST", u64::from(*SAMPLE_SHIFTS.end())),
        ("EFFORT_CALL + EFFORT_STEPPED", EffortKind::SteppedCall as u64),
        ("EFFORT_FREE + EFFORT_STEPPED", EffortKind::SteppedFree as u64),
        ("EFFORT_RETURN", EffortKind::Return as u64),
        ("PROCESS_SLOT(0x780056)", ProcessNumber::new(0x56, 0x78).slot().into()),
        ("LEDGER_FREES_LOST", Ledger::FreesLost as u64),
        ("LEDGER_OWN_EVENTS", Ledger::OwnEvents as u64),
        ("NO_HOOK", NO_HOOK.into()),
        ("KERNEL_STACK", KERNEL_STACK.into()),
        ("KERNEL_CACHE", KernelEvent::Cache as u64),
    ];
    for (name, value) in numbers {
        let _ = writeln!(text, "_Static_assert({name} == {value}, \"{name}\");");
    }
    for (macro_name, value) in [
        ("HOOK", 0x1234),
        ("OPERATION", Operation::Reallocate as u64),
        ("SIZE_ARGUMENT", 3),
        ("COUNT_ARGUMENT", 2),
        ("POINTER_ARGUMENT", 1),
        ("STEPPED", 1),
        ("PROCESS", 0x78_0056),
    ] {
        let _ =
            writeln!(text, "_Static_assert(COOKIE_{macro_name}({cookie}ULL) == {value}, \"{macro_name}\");");
    }
    // as unwind.bpf.h takes a row apart
    let packed = row.pack().unwrap();
    for (expression, value) in [
        ("ROW & 0xfff", 0xabc),
        ("(ROW >> 12) & 15", 5),
        ("(short)(ROW >> 16) * 8", 16),
        ("(short)(ROW >> 32) * 8", -16),
        ("(short)(ROW >> 48)", -8),
    ] {
        let expression = expression.replace("ROW", &format!("{packed}ULL"));
        let _ = writeln!(text, "_Static_assert(({expression}) == {value}, \"row\");");
    }

    let source = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("abi.c");
    std::fs::write(&source, &text).unwrap();
    let clang = std::env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let output = Command::new(clang)
        .args(["-target", "bpf", "-fsyntax-only", "-I", env!("CARGO_MANIFEST_DIR")])
        .arg(&source)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn ledger_entries_are_numbered_without_gaps_and_fit() {
    for (number, entry) in Ledger::ALL.iter().enumerate() {
        assert_eq!(*entry as usize, number);
    }
    assert!(Ledger::ALL.len() <= LEDGER_LENGTH);
}
