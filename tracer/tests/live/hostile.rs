//! Targets that lie, or are gone when we come: an honest result or a clear error, and no probe left.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

use leakhound_report::recording::Record;
use leakhound_tracer::{
    capabilities::Capabilities,
    investigation::{InvestigationError, Observer, Plan, Subject, investigate},
    locate::Target,
    process::ProcessId,
};
use object::{Object, ObjectSection};

use crate::support::{Running, can_probe, command, compile, ledger, short, through, wait_for, watch_command};

#[test]
fn damaged_files_in_a_target_cost_their_own_names_and_nothing_else() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "mapper.c", "mapper", &["-g", "-O2"]);
    let folder = tempfile::tempdir().unwrap();
    let files = damaged_libraries(folder.path());
    let paths: Vec<&str> = files.iter().filter_map(|path| path.to_str()).collect();
    let recording = watch_command(&command(&program, &paths), &short(Duration::from_secs(60))).unwrap();
    assert_eq!(through(&recording, "leak_here").live_count, 1000);
    assert_eq!(ledger(&recording, "walksNoMapping") + ledger(&recording, "walksUnsupported"), 0);
    let unopened = ledger(&recording, "modulesUnopened");
    let without_rows = ledger(&recording, "modulesWithoutUnwindTable");
    assert!(unopened >= 2, "text and a header cut short are no ELF files: {unopened}");
    assert!(without_rows >= 1, "a section beyond the end has no rows: {without_rows}");
}

/// The kinds of damage: no ELF file, one cut short in its header and in the middle, unwind information that is noise, and
/// headers that promise more than there is.
fn damaged_libraries(folder: &Path) -> Vec<PathBuf> {
    let whole = fs::read("/lib/x86_64-linux-gnu/libm.so.6").unwrap();
    let elf = object::File::parse(&*whole).unwrap();
    let (start, size) = elf.section_by_name(".eh_frame").unwrap().file_range().unwrap();
    let unwind = usize::try_from(start).unwrap()..usize::try_from(start + size).unwrap();
    let mut noise = whole.clone();
    for (n, byte) in noise[unwind].iter_mut().enumerate() {
        *byte = u8::try_from(n.wrapping_mul(2_654_435_761) >> 7 & 0xff).unwrap();
    }
    let mut headers = whole.clone();
    headers[0x28..0x30].fill(0xff); // e_shoff
    headers[0x3c..0x3e].fill(0xff); // e_shnum
    let damaged = [
        ("text", b"not a library at all\n".repeat(500)),
        ("header", whole[..40].to_vec()),
        ("middle", whole[..whole.len() / 2].to_vec()),
        ("noise", noise),
        ("headers", headers),
    ];
    let write = |(name, bytes): (&str, Vec<u8>)| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    damaged.into_iter().map(write).collect()
}

/// The header is recorded when the target is known and no probe is on yet.
#[test]
fn a_target_that_ends_just_before_the_probes_go_on_is_an_error() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "steady.c", "steady_ends_early", &["-g", "-O2"]);
    let mut target = Running::start(&program, &[]);
    let pid = target.0.id();
    wait_for("the program to be itself", || {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path.ends_with("steady_ends_early"))
    });
    let subject = Subject::Running(Target::Process(ProcessId::find(pid).unwrap()));
    let (settings, capabilities) = (short(Duration::from_secs(60)), Capabilities::probe(false));
    let plan = Plan { settings: &settings, capabilities: &capabilities, container: None };
    let mut seen = Vec::new();
    let observer = Observer {
        record: &mut |record: &Record| {
            seen.push(matches!(record, Record::Header(_)));
            target.0.kill()?;
            target.0.wait().map(drop)
        },
        progress: &mut |_| {},
        stop: &AtomicBool::new(false),
    };
    let error = investigate(subject, &plan, observer).unwrap_err();
    assert!(matches!(error, InvestigationError::Gone), "{error}");
    assert_eq!(seen, [true], "the header, and then nothing");
    assert_eq!(own_links_on(pid), 0);
}

/// Links of ours whose probes are in a process.
fn own_links_on(pid: u32) -> usize {
    let files = fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    let is_on = |text: &String| {
        text.lines().any(|line| line.strip_prefix("pid:").is_some_and(|of| of.trim() == pid.to_string()))
    };
    texts.filter(is_on).count()
}

#[test]
fn links_are_told_by_the_process_that_they_are_on() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "steady.c", "steady_linked", &["-g", "-O2"]);
    let target = Running::start(&program, &[]);
    let pid = target.0.id();
    wait_for("the program to be itself", || {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path.ends_with("steady_linked"))
    });
    let subject = Subject::Running(Target::Process(ProcessId::find(pid).unwrap()));
    let mut most = 0;
    let count = &mut || most = most.max(own_links_on(pid));
    crate::support::watch_with(subject, &short(Duration::from_secs(1)), &AtomicBool::new(false), count)
        .unwrap();
    assert!(most >= 2, "frees and calls: {most}");
    assert_eq!(own_links_on(pid), 0);
}
