//! `sampling.h` itself, compiled for this machine: what it estimates is what was there, and its error is the error it says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use std::{
    fmt::Write as _,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use leakhound_ebpf::abi::{CERTAIN, SAMPLE_SHIFTS, VARIANCE_UNIT, WEIGHT_ONE};
use proptest::prelude::*;

/// What the C code says about a block of one size, drawn with one period.
#[derive(Debug, Clone, Copy)]
struct Weighed {
    probability: u64,
    bytes: u64,
    weight: u64,
    variance: u64,
}

impl Weighed {
    fn chance(self) -> f64 {
        self.probability as f64 / CERTAIN as f64
    }
}

const DRIVER: &str = r#"
#include <stdio.h>
typedef unsigned long long __u64;
typedef unsigned int __u32;
#include "sampling.h"
int main(void)
{
    unsigned long long size, shift;
    while (scanf("%llu %llu", &size, &shift) == 2) {
        __u64 p = sample_probability(size, shift), bytes = sample_bytes(size, p);
        printf("%llu %llu %llu %llu\n", p, bytes, sample_weight(p), sample_variance(bytes, p));
    }
    return 0;
}
"#;

fn weigh(cases: &[(u64, u32)]) -> Vec<Weighed> {
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("driver.c"), folder.path().join("driver"));
    std::fs::write(&source, DRIVER).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = Command::new("cc")
        .args(["-O2", "-Wall", "-Werror", "-fsanitize=undefined", "-fno-sanitize-recover", "-I"])
        .arg(include)
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .status();
    assert!(built.unwrap().success());
    let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut text = String::new();
    for (size, shift) in cases {
        let _ = writeln!(text, "{size} {shift}");
    }
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    let weighed: Vec<Weighed> = lines
        .lines()
        .map(|line| {
            let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
            let mut next = || numbers.next().unwrap();
            Weighed { probability: next(), bytes: next(), weight: next(), variance: next() }
        })
        .collect();
    assert_eq!(weighed.len(), cases.len());
    weighed
}

#[test]
fn a_block_is_as_likely_as_exponential_gaps_make_it() {
    let mut cases = Vec::new();
    for shift in SAMPLE_SHIFTS {
        for power in 0..40 {
            cases.extend([1_u64 << power, 3 << power, (1 << power) + 1].map(|size| (size, shift)));
        }
        cases.push((u64::MAX, shift));
    }
    for ((size, shift), weighed) in cases.iter().zip(weigh(&cases)) {
        let periods = *size as f64 / (1_u64 << shift) as f64;
        let wanted = -(-periods).exp_m1();
        let off = (weighed.chance() - wanted).abs();
        assert!(off < wanted * 3e-4 + 1e-9, "{size} at 2^{shift}: {weighed:?}, not {wanted}");
        // its weight undoes its probability
        let stands_for = weighed.chance() * weighed.bytes as f64;
        assert!(
            (stands_for - *size as f64).abs() <= 1.0 + *size as f64 * 1e-9,
            "{size} at 2^{shift}: {weighed:?}"
        );
        let blocks = weighed.chance() * weighed.weight as f64 / WEIGHT_ONE as f64;
        assert!((blocks - 1.0).abs() < 1e-4, "{size} at 2^{shift}: {weighed:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    /// At any period: larger blocks are likelier, the weight undoes the probability, and nothing overflows.
    #[test]
    fn a_weight_undoes_its_probability_at_any_size(
        cases in proptest::collection::vec(((0_u32..36, any::<u64>()), SAMPLE_SHIFTS), 2000),
    ) {
        let size = |(bits, noise): (u32, u64)| (1_u64 << bits) | noise & ((1 << bits) - 1);
        let cases: Vec<(u64, u32)> = cases.into_iter().map(|(of, shift)| (size(of), shift)).collect();
        let larger: Vec<(u64, u32)> = cases.iter().map(|(size, shift)| (size + size / 4 + 1, *shift)).collect();
        for (((size, shift), one), more) in cases.iter().zip(weigh(&cases)).zip(weigh(&larger)) {
            let stands_for = one.chance() * one.bytes as f64;
            prop_assert!((stands_for - *size as f64).abs() <= 1.0 + *size as f64 * 1e-9, "{size} at 2^{shift}: {one:?}");
            prop_assert!(more.probability >= one.probability, "{size} at 2^{shift}: {one:?} {more:?}");
            let share = (1.0 - one.chance()) * (one.bytes as f64).powi(2);
            let variance = one.variance as f64 * VARIANCE_UNIT as f64;
            // counted in whole units of whole sixteens of bytes
            let rough = share * 0.002 + 64.0 * one.bytes as f64 + 256.0 + (one.bytes as f64).powi(2) / 65_536.0;
            prop_assert!((variance - share).abs() <= rough, "{size} at 2^{shift}: {variance}, not {share}");
        }
    }
}

#[test]
fn every_allocation_is_followed_at_period_0() {
    for weighed in weigh(&[(0, 0), (1, 0), (4096, 0), (u64::MAX, 0)]) {
        assert_eq!((weighed.probability, weighed.weight, weighed.variance), (CERTAIN, WEIGHT_ONE, 0));
    }
}

/// A generator that is good enough to draw with, and the same everywhere.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Samples a stream of `count` blocks of these sizes, of which each is then freed with a chance of `freed` in 256, and
/// returns by how many of its own standard errors the estimate of the live bytes is off.
fn error_of(sizes: &[(u64, Weighed)], count: usize, freed: u64, draws: &mut Draws) -> Option<f64> {
    let (mut live, mut estimate, mut variance) = (0.0, 0.0, 0.0);
    for at in 0..count {
        let (size, weighed) = sizes[at % sizes.len()];
        let stays = draws.next() % 256 >= freed;
        let followed = draws.next() >> 32 < weighed.probability;
        if stays {
            live += size as f64;
        }
        if stays && followed {
            estimate += weighed.bytes as f64;
            variance += (weighed.variance * VARIANCE_UNIT) as f64;
        }
    }
    (variance > 0.0).then(|| (estimate - live) / variance.sqrt())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Over many runs of one program the errors, in units of what the sample itself says, have mean 0 and deviation 1.
    #[test]
    fn sums_have_no_bias_and_the_error_they_say(
        sizes in proptest::collection::vec(1_u64..200_000, 1..6),
        shift in 14_u32..20,
        freed in 0_u64..200,
        seed: u64,
    ) {
        const RUNS: usize = 400;
        let cases: Vec<(u64, u32)> = sizes.iter().map(|size| (*size, shift)).collect();
        let weighed: Vec<(u64, Weighed)> = sizes.iter().copied().zip(weigh(&cases)).collect();
        // enough for some 200 samples a run, or the estimated error is itself too rough
        let mean = weighed.iter().map(|(_, weighed)| weighed.chance()).sum::<f64>() / sizes.len() as f64;
        let count = (200.0 * 256.0 / (256 - freed) as f64 / mean).ceil();
        prop_assume!(count < 300_000.0 && mean < 0.9);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        let count = count as usize;
        let mut draws = Draws(seed);
        let errors: Vec<f64> = (0..RUNS).filter_map(|_| error_of(&weighed, count, freed, &mut draws)).collect();
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let deviation = (errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / errors.len() as f64).sqrt();
        // five standard errors of the mean and of the deviation of 400 draws, and the skew of ratio estimates
        prop_assert!(mean.abs() < 0.32, "mean {mean} of {sizes:?} at 2^{shift}");
        prop_assert!((0.8..1.25).contains(&deviation), "deviation {deviation} of {sizes:?} at 2^{shift}");
    }
}
