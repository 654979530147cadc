//! One quirk of a log per test. Logs of real runs are read in `tests/memleak_logs.rs`.

use std::fmt::Write;

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::recording::{Mode, Source, StackCounters};

mod runs;
mod torn;

const KERNEL_LOG: &str = include_str!("../../tests/data/memleak-libbpf-kernel.log");
const USER_LOG: &str = include_str!("../../tests/data/memleak-libbpf-user.log");
const COMMAND_LOG: &str = include_str!("../../tests/data/memleak-bcc-command.log");
const COMBINED_LOG: &str = include_str!("../../tests/data/memleak-bcc-combined.log");

fn read(log: &str) -> Recording {
    read_log(log.as_bytes()).unwrap()
}

/// A log of bcc: per snapshot its time and `(bytes, function)` of each stack.
fn bcc(top: u64, snapshots: &[(&str, &[(u64, &str)])]) -> String {
    let mut log = "Attaching to pid 7, Ctrl+C to quit.\n".to_owned();
    for (time, stacks) in snapshots {
        writeln!(log, "[{time}] Top {top} stacks with outstanding allocations:").unwrap();
        for (bytes, function) in *stacks {
            writeln!(log, "\t{bytes} bytes in {} allocations from stack", bytes / 10).unwrap();
            writeln!(log, "\t\t0x000055e46b45e1fc\t{function}+0x1d [seed]").unwrap();
        }
    }
    log
}

/// Live bytes of the stack that begins in `function`, at each snapshot.
fn live(recording: &Recording, function: &str) -> Vec<u64> {
    let all: Vec<usize> = (0..recording.snapshots.len()).collect();
    let histories = recording.histories();
    let begins = |frames: &[crate::recording::Frame]| {
        frames[0].function.as_deref().is_some_and(|name| name == function)
    };
    let history = histories.iter().find(|history| begins(&history.stack.frames)).expect(function);
    history.sample(&all, |counters| counters.live_bytes)
}

fn lost(recording: &Recording, key: &str) -> u64 {
    recording.snapshots.last().unwrap().ledger.get(key).copied().unwrap_or_default()
}

fn places(log: &str) -> Vec<String> {
    let recording = read(&format!("[1:2:3] Top 1 stacks with outstanding allocations:\n{log}"));
    let module = |id: u32| recording.modules.iter().find(|module| module.id == id).unwrap().path.clone();
    let place = |frame: &crate::recording::Frame| {
        let function = frame.function.clone().unwrap_or_else(|| "?".to_owned());
        let module = frame.module.map(|id| format!(" in {}", module(id))).unwrap_or_default();
        let line = frame.file.as_ref().zip(frame.line).map(|(file, line)| format!(" at {file}:{line}"));
        format!("{:#x} {function}{module}{}", frame.address, line.unwrap_or_default())
    };
    recording.stacks[0].frames.iter().map(place).collect()
}

#[test]
fn frames_of_bcc() {
    let frames = places(concat!(
        "\t48 bytes in 2 allocations from stack\n",
        "\t\t0x000055cc53d7b69c\tshop::Cache<std::string, long>::operator[](int)+0xc [shop]\n",
        "\t\t0x000055cc53d7b69d\tstd::_Function_handler<void (int), main::{lambda(int)#1}>::_M_invoke(int&&)+0xc [shop]\n",
        "\t\t0x000055cc53d7b69e\toperator+(A const&, B [3])+0x7f [lib with space.so]\n",
        "\t\t0x000055cc53d7b69f\t[unknown]\n",
        "\t\t0x000055cc53d7b6a0\t[unknown] [stripped]\n",
        "\t\t0x000055cc53d7b6a1\tcore::ptr::drop_in_place$LT$alloc..string..String$GT$::h0123456789abcdef+0x4 [app]\n",
        "\t\t0x000055cc53d7b6a2\tjitted+0x8 [unknown]\n",
    ));
    assert_eq!(
        frames,
        [
            "0x55cc53d7b69c shop::Cache<std::string, long>::operator[](int) in shop",
            "0x55cc53d7b69d std::_Function_handler<void (int), main::{lambda(int)#1}>::_M_invoke(int&&) in shop",
            "0x55cc53d7b69e operator+(A const&, B [3]) in lib with space.so",
            "0x55cc53d7b69f ?",
            "0x55cc53d7b6a0 ? in stripped",
            "0x55cc53d7b6a1 core::ptr::drop_in_place<alloc::string::String> in app",
            "0x55cc53d7b6a2 jitted",
        ]
    );
}

#[test]
fn frames_of_bcc_without_addresses() {
    let frames = places(concat!(
        "\t48 bytes in 2 allocations from stack\n",
        "\t\toperator new(unsigned long)+0x1c [libstdc++.so.6.0.30]\n",
        "\t\t[unknown]\n",
        "\t\t[unknown] [stripped]\n",
        "\t\tbpf_prog_load [kernel]\n",
    ));
    assert_eq!(
        frames,
        [
            "0x0 operator new(unsigned long) in libstdc++.so.6.0.30",
            "0x0 ?",
            "0x0 ? in stripped",
            "0x0 bpf_prog_load in [kernel]"
        ]
    );
}

#[test]
fn frames_of_libbpf_tools() {
    let frames = places(concat!(
        "4096 bytes in 1 allocations from stack\n",
        "\taddr = 0x55786e98c760 size = 4096\n",
        "\t0 [<000055cc53d7bf0e>] _ZN4shop5CacheINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEElEixEi+0xc [/srv/app/shop (deleted)]\n",
        "\t1 [<00007f0f9444524a>] [/usr/lib/x86_64-linux-gnu/libc.so.6]\n",
        "\t2 [<00007f0f9444524b>] <null sym>\n",
        "\t3 [<00007f0f9444524c>] _RNvC6_123foo3bar+0x10 [[heap]]\n",
    ));
    assert_eq!(
        frames,
        [
            "0x55cc53d7bf0e shop::Cache<std::string, long>::operator[](int) in /srv/app/shop (deleted)",
            "0x7f0f9444524a ? in /usr/lib/x86_64-linux-gnu/libc.so.6",
            "0x7f0f9444524b ?",
            "0x7f0f9444524c 123foo::bar in [heap]",
        ]
    );
}

#[test]
fn frames_of_builds_with_blazesym_have_source_lines() {
    let frames = places(concat!(
        "4096 bytes in 1 allocations from stack\n",
        "\t0 [<0000000000401136>] grow(std::vector<int>&)+0x10 /srv/app/src/grow one.cpp:42\n",
        "\t1 [<0000000000401150>] (2 entries)\n",
        "\t\tserve@0x401140 /srv/app/src/serve.c:7\n",
        "\t\tserve_alias@0x401100 /srv/app/src/serve.c:1\n",
        "\t2 [<0000000000401170>] main+0x20\n",
    ));
    assert_eq!(
        frames,
        [
            "0x401136 grow(std::vector<int>&) at /srv/app/src/grow one.cpp:42",
            "0x401150 serve at /srv/app/src/serve.c:7",
            "0x401170 main"
        ]
    );
}

#[test]
fn the_same_call_at_another_address_is_the_same_stack() {
    let log = "[1:0:0] Top 9 stacks with outstanding allocations:\n\
               \t10 bytes in 1 allocations from stack\n\t\t0x00005500000000aa\tgrow+0x4 [app]\n\
               \t20 bytes in 2 allocations from stack\n\t\t0x00005600000000aa\tgrow+0x4 [app]\n\
               \t40 bytes in 4 allocations from stack\n\t\t0x00005600000000bb\tgrow+0x15 [app]\n";
    let recording = read(log);
    assert_eq!(recording.stacks.len(), 2, "another offset is another call");
    assert_eq!(live(&recording, "grow"), [30]);
    assert_eq!(recording.snapshots[0].stacks[0].live_count, 3);
}

#[test]
fn a_stack_below_the_top_keeps_at_most_what_the_smallest_shown_has() {
    let log = bcc(
        2,
        &[
            ("10:00:05", &[(100, "a"), (900, "b")]),
            ("10:00:10", &[(300, "c"), (950, "b")]),
            ("10:00:15", &[(50, "c"), (990, "b")]),
            ("10:00:20", &[(990, "b")]),
            ("10:00:25", &[(10, "a"), (990, "b")]),
        ],
    );
    let recording = read(&log);
    assert_eq!(live(&recording, "a"), [100, 100, 50, 0, 10]);
    assert_eq!(live(&recording, "b"), [900, 950, 990, 990, 990]);
    assert_eq!(
        live(&recording, "c"),
        [0, 300, 50, 0, 0],
        "the list of 10:00:20 is not full: what is missing is gone"
    );
    assert_eq!(lost(&recording, "stackAbsentFromSnapshot"), 2);
    assert_eq!(recording.header.settings.interval_ns, 5_000_000_000);
    let times: Vec<u64> =
        recording.snapshots.iter().map(|snapshot| snapshot.time_ns / 1_000_000_000).collect();
    assert_eq!(times, [5, 10, 15, 20, 25], "memleak sleeps before it prints");
}

#[test]
fn a_list_sorted_by_count_says_nothing_about_the_bytes_of_what_is_missing() {
    let log = bcc(
        3,
        &[
            ("10:00:05", &[(500, "a"), (20, "b"), (300, "c")]),
            ("10:00:10", &[(900, "d"), (20, "b"), (300, "c")]),
            ("10:00:15", &[(900, "d"), (20, "b"), (300, "c")]),
        ],
    );
    assert_eq!(live(&read(&log), "a"), [500, 500, 500]);
}

#[test]
fn what_was_allocated_is_at_least_what_became_live() {
    let log = bcc(10, &[("1:00:00", &[(100, "a")]), ("1:00:05", &[(40, "a")]), ("1:00:10", &[(90, "a")])]);
    let allocated: Vec<(u64, u64)> = read(&log)
        .snapshots
        .iter()
        .flat_map(|snapshot| &snapshot.stacks)
        .map(|StackCounters { allocated_bytes, allocated_count, .. }| (*allocated_bytes, *allocated_count))
        .collect();
    assert_eq!(allocated, [(100, 10), (100, 10), (150, 15)]);
}

#[test]
fn stacks_whose_frames_are_lost_count_together() {
    let log = "[1:0:0] Top 9 stacks with outstanding allocations:\n\
               \t10 bytes in 1 allocations from stack\n\t\tstack information lost\n\
               \t20 bytes in 2 allocations from stack\n\t\tstack information lost\n\
               \t40 bytes in 4 allocations from stack\n\t\tmain+0x15 [app]\n\
               WARNING: 12 stack traces could not be displayed due to memory shortage, including 3 caused by hash \
               collisions. Consider increasing --stack-storage-size.\n";
    let recording = read(log);
    assert_eq!(
        recording.snapshots[0].stacks.iter().map(|stack| stack.live_bytes).collect::<Vec<_>>(),
        [30, 40]
    );
    assert!(recording.stacks[0].cut_short.is_some());
    assert_eq!(lost(&recording, "stackInformationLost"), 2);
    assert_eq!(lost(&recording, "stackNotShown"), 12);
    assert!(recording.skipped.is_empty());
}

#[test]
fn counters_below_zero_count_as_nothing() {
    let log = bcc(10, &[("1:00:00", &[(u64::MAX - 15, "a"), (40, "b")])]);
    let recording = read(&log);
    assert_eq!((live(&recording, "a"), live(&recording, "b")), (vec![0], vec![40]));
    assert_eq!(lost(&recording, "negativeCounter"), 1);
}

#[test]
fn source_and_mode_come_from_banners_or_from_frames() {
    let stack = |frame: &str| {
        format!(
            "[1:0:0] Top 1 stacks with outstanding allocations:\n8 bytes in 1 allocations from stack\n{frame}\n"
        )
    };
    let cases = [
        (stack("\t0 [<ffffffff8161f42b>] do_fork+0x1"), Source::MemleakLibbpf, Mode::Kernel),
        (stack("\t\t0xffffffff8161f42b\tdo_fork+0x1 [kernel]"), Source::MemleakBcc, Mode::Kernel),
        (stack("\t\tdo_fork+0x1 [kernel]"), Source::MemleakBcc, Mode::Kernel),
        (stack("\t\tmain+0x1 [app]"), Source::MemleakBcc, Mode::Heap),
        (format!("tracing kernel: true\n{}", stack("\t0 [<10>] a+0x1")), Source::MemleakLibbpf, Mode::Kernel),
        (
            format!("Attaching to kernel allocators, Ctrl+C to quit.\n{}", stack("")),
            Source::MemleakBcc,
            Mode::Kernel,
        ),
    ];
    for (log, source, mode) in cases {
        let header = read(&log).header;
        assert_eq!((header.source, header.mode), (source, mode), "{log}");
    }
}

#[test]
fn what_is_no_log_is_a_clear_error() {
    let message = |log: &[u8]| read_log(log).unwrap_err().to_string();
    assert!(message(b"").contains("is empty"));
    assert!(message(b"\x7fELF\0\0").starts_with("this is an ELF binary, not a log of memleak"));
    assert!(message(b"GET / 200\n").contains("Top 10 stacks with outstanding allocations"));
    assert!(message(b"10 outstanding allocations in the bank\n").starts_with("this is text of another kind"));
    let early = message(b"Attaching to pid 4711, Ctrl+C to quit.\n");
    assert!(early.contains("none of the 1 lines") && early.contains("interval"), "{early}");
}

/// The same log as other programs hand it on.
#[test]
fn line_ends_colours_and_indents_do_not_matter() {
    for log in [KERNEL_LOG, USER_LOG, COMMAND_LOG, COMBINED_LOG] {
        let plain = read(log);
        assert_eq!(read(&log.replace('\n', "\r\n")), plain);
        assert_eq!(read(&log.replace('\n', "\x1b[0m\n\x1b[1;32m")), plain);
        assert_eq!(read(&log.replace('\t', "        ")), plain, "tabs expanded by a terminal");
        assert_eq!(read(log.trim_end()), plain, "no line end after the last line");
    }
}

#[test]
fn bytes_that_are_not_utf_8_stay_apart() {
    let mut log = b"[1:0:0] Top 9 stacks with outstanding allocations:\n".to_vec();
    log.extend(b"\t10 bytes in 1 allocations from stack\n\t\tm\xe4in+0x15 [app]\n\xff\xfe noise\n");
    let recording = read_log(&log[..]).unwrap();
    assert_eq!(recording.stacks[0].frames[0].function.as_deref(), Some("m\u{fffd}in"));
    assert_eq!(recording.skipped.count(Skip::UnknownLine), 1);
}

#[test]
fn an_endless_line_is_one_unknown_line() {
    let log = USER_LOG.replacen("[1:13:3]", &format!("{}\n[1:13:3]", "x".repeat(200_000)), 1);
    let recording = read(&log);
    assert_eq!(recording.skipped.count(Skip::UnknownLine), 1);
    assert_eq!(live(&recording, "third_leak"), live(&read(USER_LOG), "third_leak"));
}

#[test]
fn mangled_names_cannot_explode() {
    // each template argument doubles the one before
    let bomb = format!("_Z1fI1AI1BI{}EEEvv", "1CIS_S0_EIS1_S1_E".repeat(40));
    let frames = places(&format!("8 bytes in 1 allocations from stack\n\t0 [<10>] {bomb}+0x1 [app]\n"));
    assert!(frames[0].len() < 8192, "{}", frames[0].len());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = read_log(&bytes[..]);
    }

    /// Lines of real logs in any order, whole or cut.
    #[test]
    fn any_lines_are_read_without_panic(
        picks in proptest::collection::vec((any::<Index>(), 0..4_usize, any::<Index>()), 0..60)
    ) {
        let mut log = String::new();
        for (line, from, cut) in picks {
            let lines: Vec<&str> = [KERNEL_LOG, USER_LOG, COMMAND_LOG, COMBINED_LOG][from].lines().collect();
            let line = lines[line.index(lines.len())];
            let end = if cut.index(4) == 0 { cut.index(line.len() + 1) } else { line.len() };
            log.push_str(&String::from_utf8_lossy(&line.as_bytes()[..end]));
            log.push('\n');
        }
        if let Ok(recording) = read_log(log.as_bytes()) {
            for snapshot in &recording.snapshots {
                for counters in &snapshot.stacks {
                    prop_assert!(counters.allocated_bytes >= counters.live_bytes);
                    prop_assert!(recording.stacks.iter().any(|stack| stack.id == counters.id));
                }
            }
            prop_assert!(recording.snapshots.is_sorted_by(|a, b| a.time_ns < b.time_ns));
            let skips: Vec<_> = recording.skipped.iter().map(|(skip, _)| skip).collect();
            prop_assert!(skips.iter().all(|skip| matches!(skip, Skip::CutOff | Skip::UnknownLine)), "{skips:?}");
        }
    }

    /// The program's own lines between those of memleak change nothing, and each is counted.
    #[test]
    fn every_line_is_consumed_or_counted(
        at in proptest::collection::vec(any::<Index>(), 0..20),
        noise in "[ -*,-~]{1,40}|served [0-9]{1,5} requests \\[ok\\]|GET /[a-z]{0,8} 200",
    ) {
        prop_assume!(matches!(line::classify(&noise), Line::Unknown));
        for log in [USER_LOG, COMMAND_LOG, COMBINED_LOG] {
            let plain = read(log);
            let mut lines: Vec<&str> = log.lines().collect();
            for at in &at {
                lines.insert(at.index(lines.len()), &noise);
            }
            let mixed = read(&(lines.join("\n") + "\n"));
            let before = plain.skipped.count(Skip::UnknownLine);
            prop_assert_eq!(mixed.skipped.count(Skip::UnknownLine), before + at.len() as u64);
            prop_assert_eq!(&mixed.snapshots, &plain.snapshots);
            prop_assert_eq!(&mixed.stacks, &plain.stacks);
        }
    }
}
