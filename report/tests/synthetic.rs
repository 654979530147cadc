//! The rules against thousands of simulated heaps whose truth is known.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "made-up numbers of known size, printed for a person"
)]

#[path = "synthetic/behaviour.rs"]
mod behaviour;
#[path = "synthetic/heap.rs"]
mod heap;
#[path = "synthetic/random.rs"]
mod random;

use leakhound_report::{
    Options,
    analysis::{Class, VerdictName},
    analyze,
};

use crate::{heap::Watch, random::Random};

const CLASSES: [Class; 8] = [
    Class::Leak,
    Class::Suspected,
    Class::Saturating,
    Class::Plateau,
    Class::Sawtooth,
    Class::Step,
    Class::Transient,
    Class::Inconclusive,
];
const EACH: u64 = 500;

/// Rows: the truth. Columns: what was said.
type Confusion = [[u32; CLASSES.len()]; CLASSES.len()];

fn classify(truth: Class, seed: u64, cohorts: bool) -> (Class, String) {
    let mut random = Random::new(seed);
    let snapshots = if truth == Class::Inconclusive { random.whole(1, 2) } else { random.whole(12, 60) };
    let interval = [1.0, 3.0, 10.0, 60.0][random.whole(0, 3) as usize];
    let watch = Watch { snapshots: snapshots as u32, interval, cohorts };
    let blocks = behaviour::behave(truth, watch, &mut random);
    let analysis = analyze(&heap::record(&[blocks], watch), &Options::default());
    let finding = &analysis.findings[0];
    if truth == Class::Leak && finding.class == Class::Leak {
        assert_eq!(analysis.verdict.name, VerdictName::LeakLikely, "{:?}", analysis.verdict);
    }
    (finding.class, finding.evidence.because.clone())
}

fn confuse(cohorts: bool) -> Confusion {
    let mut confusion = Confusion::default();
    for (row, truth) in CLASSES.into_iter().enumerate() {
        for seed in 0..EACH {
            let (said, because) = classify(truth, seed * 8 + row as u64, cohorts);
            confusion[row][said as usize] += 1;
            if said != truth && std::env::var_os("SHOW").is_some() {
                println!("{truth:?} called {said:?}: seed {seed}: {because}");
            }
        }
    }
    confusion
}

fn print(confusion: &Confusion) {
    print!("{:>14}", "truth \\ said");
    CLASSES.iter().for_each(|class| print!("{:>13}", format!("{class:?}")));
    println!("{:>11}{:>8}", "precision", "recall");
    for (row, class) in CLASSES.iter().enumerate() {
        print!("{:>14}", format!("{class:?}"));
        confusion[row].iter().for_each(|count| print!("{count:>13}"));
        println!("{:>11.3}{:>8.3}", precision(confusion, &[row]), recall(confusion, &[row]));
    }
}

/// Of what was said to be one of `classes`, the share that is.
fn precision(confusion: &Confusion, classes: &[usize]) -> f64 {
    let said = |truth: usize| classes.iter().map(|class| confusion[truth][*class]).sum::<u32>();
    let right: u32 = classes.iter().map(|truth| said(*truth)).sum();
    let all: u32 = (0..CLASSES.len()).map(said).sum();
    f64::from(right) / f64::from(all)
}

/// Of what is one of `classes`, the share that was said to be.
fn recall(confusion: &Confusion, classes: &[usize]) -> f64 {
    let said = |truth: &usize| classes.iter().map(|class| confusion[*truth][*class]).sum::<u32>();
    let all: u32 = classes.iter().map(|truth| confusion[*truth].iter().sum::<u32>()).sum();
    f64::from(classes.iter().map(said).sum::<u32>()) / f64::from(all)
}

#[test]
fn every_class_is_told_from_every_other() {
    let confusion = confuse(true);
    print(&confusion);
    for (row, class) in CLASSES.iter().enumerate() {
        assert!(precision(&confusion, &[row]) >= 0.95, "precision of {class:?}");
        assert!(recall(&confusion, &[row]) >= 0.95, "recall of {class:?}");
    }
}

#[test]
fn without_cohorts_alarms_are_still_right() {
    let confusion = confuse(false);
    print(&confusion);
    let alarms = [0, 1];
    println!(
        "alarms: precision {:.3}, recall {:.3}",
        precision(&confusion, &alarms),
        recall(&confusion, &alarms)
    );
    assert!(precision(&confusion, &alarms) >= 0.95);
    assert!(recall(&confusion, &alarms) >= 0.9);
}
