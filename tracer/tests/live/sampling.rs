//! A sample stands for the whole: its sums are the program's own, within the error that they say.

use std::{process::Command, time::Duration};

use leakhound_report::analysis::{Options, analyze};
use leakhound_tracer::{rung::Rung, sampling::Period};

use crate::support::{by, can_probe, command, compile, ledger, short, through, watch_command};

#[test]
fn estimates_are_what_five_programs_hold() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "holdings.c", "holdings", &["-g", "-O2"]);
    for kind in ["small", "mixed", "large", "grown", "threads"] {
        let printed = Command::new(&program).arg(kind).output().unwrap();
        let truth: f64 = String::from_utf8(printed.stdout).unwrap().trim().parse().unwrap();
        let mut settings = short(Duration::from_secs(120));
        settings.sample = Some(Period::at_least(64 << 10).unwrap());
        let recording = watch_command(&command(&program, &[kind]), &settings).unwrap();
        assert_eq!(recording.header.settings.sample_period_bytes, 64 << 10);
        let totals = analyze(&recording, &Options::default()).totals;
        let (estimate, error) = (totals.live_bytes as f64, totals.live_error_bytes.unwrap() as f64);
        // two thirds are within one error, and by chance none ever beyond six
        assert!((estimate - truth).abs() < 6.0 * error, "{kind}: {estimate} ± {error}, not {truth}");
        assert!(error < truth / 5.0, "{kind}: {estimate} ± {error} says nothing");
        assert!(ledger(&recording, "unsampledAllocations") > 0, "{kind}");
        for loss in
            ["blocksFull", "countersFull", "callsFull", "walksBusy", "missedFrees", "returnsUnmatched"]
        {
            assert_eq!(ledger(&recording, loss), 0, "{kind}: {loss}");
        }
    }
}

#[test]
fn what_is_all_freed_leaves_nothing_on_any_rung() {
    if !can_probe() {
        return;
    }
    let program = compile("cc", "closed_loop.c", "closed_loop_sampled", &["-g", "-O2"]);
    for rung in Rung::LADDER {
        let mut settings = by(rung, short(Duration::from_secs(120)));
        settings.sample = Some(Period::at_least(4 << 10).unwrap());
        let recording = watch_command(&command(&program, &["10000", "2"]), &settings).unwrap();
        let seen = through(&recording, "allocate_and_free");
        assert_eq!((seen.live_count, seen.live_bytes, seen.live_error_bytes), (0, 0, 0), "{}", rung.name());
        // 140,000 allocations; most of the standard error of 3,300 comes from 20,000 blocks of 10 bytes
        let estimate = seen.allocated_count;
        assert!((120_000..160_000).contains(&estimate), "{}: {estimate} blocks", rung.name());
        assert!(ledger(&recording, "allocations") < 20_000, "{}", rung.name());
        assert_eq!(ledger(&recording, "returnsUnmatched"), 0, "{}", rung.name());
    }
}

/// Sizes of the `mixed` blocks of holdings.c, by the same generator.
fn mixed_sizes() -> impl Iterator<Item = u64> {
    let mut seed = 1_u32;
    (0..100_000).map(move |_| {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        u64::from(1 + (seed >> 16) % (16 << ((seed >> 8) % 10)))
    })
}

#[test]
fn what_is_too_small_is_told_from_what_was_not_drawn() {
    if !can_probe() {
        return;
    }
    const LEAST: u64 = 512;
    let program = compile("cc", "holdings.c", "holdings_of_a_size", &["-g", "-O2"]);
    let small = mixed_sizes().filter(|size| *size < LEAST).count() as u64;
    let kept: u64 = mixed_sizes().step_by(2).filter(|size| *size >= LEAST).sum();
    let mut settings = short(Duration::from_secs(120));
    (settings.sample, settings.min_size) = (Some(Period::at_least(64 << 10).unwrap()), LEAST);
    let recording = watch_command(&command(&program, &["mixed"]), &settings).unwrap();
    // the C library prints, and keeps a buffer or two
    let around = |name: &str, expected: u64| {
        let counted = ledger(&recording, name);
        assert!((expected..expected + 20).contains(&counted), "{name}: {counted}, not {expected}");
    };
    around("smallAllocations", small);
    let (followed, left_out) =
        (ledger(&recording, "allocations"), ledger(&recording, "unsampledAllocations"));
    let large = 100_000 - small;
    assert!((large..large + 20).contains(&(followed + left_out)), "{followed} + {left_out}, not {large}");
    assert!(followed > 0 && left_out > 0, "{followed} + {left_out}");
    let totals = analyze(&recording, &Options::default()).totals;
    let (estimate, error) = (totals.live_bytes as f64, totals.live_error_bytes.unwrap() as f64);
    assert!((estimate - kept as f64).abs() < 6.0 * error, "{estimate} ± {error}, not {kept}");
}
