//! What goes in must come out: exact counts in a program that frees everything.

use std::{process::Command, sync::atomic::AtomicBool, time::Duration};

use leakhound_report::{
    analysis::{Options, analyze},
    block_log::Line,
    recording::{Record, Recording},
};
use leakhound_tracer::{
    capabilities::Capabilities,
    investigation::{InvestigationError, Observer, Plan, Subject, investigate},
    launch::Launched,
    rung::{Rung, prove},
};

use crate::support::{by, can_probe, command, compile, end, ledger, short, through, watch_command};

/// Successful allocations of one round of `closed_loop.c`: malloc, realloc, calloc, realloc(NULL), posix_memalign,
/// aligned_alloc, malloc.
const PER_ROUND: u64 = 7;

#[test]
fn four_threads_come_out_even_on_every_rung() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "closed_loop.c", "closed_loop", &["-g", "-O2"]);
    for rung in Rung::LADDER {
        // on other kernels than the one of this machine not all exist: `leakhound doctor` says which
        if std::env::var_os("LEAKHOUND_EVERY_RUNG").is_some_and(|value| value == "no") && prove(rung).is_err()
        {
            continue;
        }
        let rounds = 10_000;
        let settings = by(rung, short(Duration::from_secs(120)));
        let recording = watch_command(&command(&program, &[&rounds.to_string(), "4"]), &settings).unwrap();
        assert_eq!(end(&recording).reason, "targetExited", "{}", rung.name());
        let seen = through(&recording, "allocate_and_free");
        assert_eq!(seen.allocated_count, rounds * 4 * PER_ROUND, "{}: allocated", rung.name());
        assert_eq!((seen.live_count, seen.live_bytes), (0, 0), "{}: live", rung.name());
        // glibc tries malloc when realloc fails, which fails as well
        assert_eq!(ledger(&recording, "failedAllocations"), rounds * 4 * 2, "{}: failed", rung.name());
        for loss in ["blocksFull", "countersFull", "callsFull", "walksBusy", "stacksFull", "missedFrees"] {
            assert_eq!(ledger(&recording, loss), 0, "{}: {loss}", rung.name());
        }
        assert_eq!(recording.header.host.attach, rung.name());
    }
}

#[test]
fn stacks_without_frame_pointers_reach_the_outermost_function() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "closed_loop.c", "closed_loop_no_fp", &["-O2", "-fomit-frame-pointer"]);
    let settings = short(Duration::from_secs(60));
    let recording = watch_command(&command(&program, &["2000", "2"]), &settings).unwrap();
    let complete = ledger(&recording, "walksComplete");
    assert!(complete >= 2000 * 2 * PER_ROUND, "{complete}");
    for short in ["walksNoMapping", "walksNoRows", "walksUnsupported", "walksUnreadable", "walksTruncated"] {
        assert_eq!(ledger(&recording, short), 0, "{short}");
    }
}

#[test]
fn a_block_that_could_not_be_made_larger_is_still_there() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "refused.c", "refused", &["-g", "-O2"]);
    for rung in Rung::LADDER {
        if prove(rung).is_err() {
            continue;
        }
        let settings = by(rung, short(Duration::from_secs(60)));
        let recording = watch_command(&command(&program, &["1000"]), &settings).unwrap();
        let seen = through(&recording, "keep_refused");
        assert_eq!((seen.live_count, seen.live_bytes), (1000, 60_000), "{}", rung.name());
    }
}

/// A walk that was done before is not done again: one that differs in a return address alone is not the same.
#[test]
fn callers_at_the_same_depth_stay_apart() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "twins.c", "twins", &["-g", "-O1", "-fno-optimize-sibling-calls"]);
    let recording = watch_command(&command(&program, &["9000"]), &short(Duration::from_secs(60))).unwrap();
    let (left, right) = (through(&recording, "keep_left"), through(&recording, "keep_right"));
    assert_eq!((left.live_count, left.live_bytes), (3000, 3000 * 24));
    assert_eq!((right.live_count, right.live_bytes), (6000, 6000 * 40));
    assert_eq!(ledger(&recording, "stacksFull"), 0);
}

#[test]
fn a_full_map_is_counted_and_never_counted_as_live() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_many", &["-g", "-O2"]);
    let mut settings = short(Duration::from_secs(60));
    settings.capacity.blocks = 1024;
    let recording = watch_command(&command(&program, &["5000", "0"]), &settings).unwrap();
    let seen = through(&recording, "leak_here");
    let lost = ledger(&recording, "blocksFull");
    assert!(lost > 0 && seen.live_count <= 1024, "{lost} lost, {} live", seen.live_count);
    // Every allocation of both functions is counted or lost; start-up loses a few of its own at most.
    let counted = seen.allocated_count + through(&recording, "no_leak_here").allocated_count;
    assert!((10_000..10_020).contains(&(counted + lost)), "{counted} counted and {lost} lost of 10,000");
}

/// The lines of a log of blocks.
fn block_log(path: &std::path::Path) -> Vec<Line> {
    let text = String::from_utf8(zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_life_of_every_block_can_be_had() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_told", &["-g", "-O2"]);
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut settings = short(Duration::from_secs(60));
    settings.block_log = Some(log.path().to_owned());
    let recording = watch_command(&command(&program, &["3000", "1"]), &settings).unwrap();
    let lines = block_log(log.path());
    assert!(matches!(&lines[0], Line::Header { format } if format == leakhound_report::block_log::FORMAT));
    assert_eq!(ledger(&recording, "streamLost"), 0);
    let lives: Vec<_> = lines
        .iter()
        .filter_map(|line| if let Line::Block(life) = line { Some(life) } else { None })
        .collect();
    assert_eq!(lines.last(), Some(&Line::End { blocks: lives.len() as u64, lost: 0 }));
    let of = |function: &str| {
        let inside = |stack: &&leakhound_report::recording::Stack| {
            stack.frames.iter().any(|frame| frame.function.as_deref() == Some(function))
        };
        let ids: Vec<u32> = recording.stacks.iter().filter(inside).map(|stack| stack.id).collect();
        let hashes: Vec<&String> = lines
            .iter()
            .filter_map(|line| match line {
                Line::Hash { hash, stack } if ids.contains(stack) => Some(hash),
                _ => None,
            })
            .collect();
        lives.iter().filter(|life| hashes.contains(&&life.stack)).copied().collect::<Vec<_>>()
    };
    let (leaked, freed) = (of("leak_here"), of("no_leak_here"));
    assert_eq!((leaked.len(), freed.len()), (3000, 3000));
    assert!(leaked.iter().all(|life| life.freed_ns.is_none() && life.size_bytes == 100));
    assert!(freed.iter().all(|life| life.freed_ns.is_some_and(|freed| freed >= life.allocated_ns)));
    let pid = recording.header.target.pids[0];
    assert!(lives.iter().all(|life| life.pid == pid && life.tid == pid), "{pid}: {:?}", lives[0]);
}

/// A buffer that holds some fifty blocks, and a reader that looks into it every few milliseconds.
#[test]
fn blocks_that_the_log_misses_are_counted_and_said() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "closed_loop.c", "closed_loop_overrun", &["-g", "-O2"]);
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut settings = short(Duration::from_secs(120));
    settings.block_log = Some(log.path().to_owned());
    settings.capacity.stream = 4096;
    let recording = watch_command(&command(&program, &["10000", "2"]), &settings).unwrap();
    let lost = ledger(&recording, "streamLost");
    assert!(lost > 0, "nothing was lost");
    let lines = block_log(log.path());
    let Some(Line::End { blocks, lost: said }) = lines.last() else { panic!("{:?}", lines.last()) };
    assert_eq!(*said, lost);
    let lives = lines.iter().filter(|line| matches!(line, Line::Block(_))).count() as u64;
    assert_eq!(*blocks, lives);
    // each block that ended was told or is counted as lost, and those that live on are told at the end
    let sums = analyze(&recording, &Options::default()).totals;
    assert_eq!(lives + lost, sums.freed_count + sums.live_count);
    // the numbers themselves lack nothing
    let seen = through(&recording, "allocate_and_free");
    assert_eq!((seen.allocated_count, seen.live_count), (10_000 * 2 * PER_ROUND, 0));
}

/// A file system with room for little, until it is dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(folder.path());
        assert!(mount.status().unwrap().success());
        Self(folder)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_ends_the_log_of_blocks_and_nothing_else() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "leak.c", "leak_untold", &["-g", "-O2"]);
    let disk = Small::mount();
    let mut settings = short(Duration::from_secs(60));
    settings.block_log = Some(disk.0.path().join("blocks.zst"));
    let words = command(&program, &["50000", "3"]);
    let subject = Subject::Launched(Launched::spawn(&words, false).unwrap());
    let capabilities = Capabilities::probe(false);
    let plan = Plan { settings: &settings, capabilities: &capabilities, container: None };
    let mut records = Vec::new();
    let observer = Observer {
        record: &mut |record: &Record| {
            records.push(record.clone());
            Ok(())
        },
        progress: &mut |_| {},
        stop: &AtomicBool::new(false),
    };
    let error = investigate(subject, &plan, observer).unwrap_err();
    assert!(matches!(error, InvestigationError::BlockLog(_)), "{error}");
    assert!(error.to_string().contains("No space left"), "{error}");
    let recording = Recording::from_records(records).unwrap();
    assert_eq!(end(&recording).reason, "targetExited");
    assert_eq!(through(&recording, "leak_here").live_count, 50_000);

    settings.block_log = Some("/proc/nowhere".into());
    let error = watch_command(&command(&program, &["10", "0"]), &settings).unwrap_err().to_string();
    assert!(error.contains("/proc/nowhere"), "{error}");
}
