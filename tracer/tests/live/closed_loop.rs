//! What goes in must come out: exact counts in a program that frees everything.

use std::time::Duration;

use leakhound_tracer::rung::Rung;

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
