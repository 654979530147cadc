use std::collections::BTreeSet;

use super::*;
use crate::fixture::{digest, finding};

const THRESHOLDS: Thresholds =
    Thresholds { outstanding_bytes: 1 << 20, growth_bytes_per_hour: 1 << 20, age_seconds: 60, findings: 10 };

fn answer(verdict: Verdict, findings: Vec<Finding>) -> Answer {
    Answer::from(&digest(verdict, findings))
}

#[test]
fn a_stack_that_grows_in_several_replicas_is_one_finding() {
    let moved = |growth| {
        let mut finding = finding("open_session", growth);
        finding.frames[0].line = Some(9); // another build
        finding.frames[0].module = "cart.so.2".to_owned();
        finding
    };
    let (slow, fast) = (
        answer(Verdict::LeakLikely, vec![finding("open_session", 5 << 20)]),
        answer(
            Verdict::LeakLikely,
            vec![Finding { rank: 2, ..finding("greet", 3 << 20) }, finding("open_session", 50 << 20)],
        ),
    );
    let merged = merge(&[("a", &slow), ("b", &fast)], THRESHOLDS).unwrap();
    assert_eq!((merged.findings.len(), merged.spread, merged.of), (2, 2, 2));
    let first = &merged.findings[0];
    assert_eq!(
        (first.rank, first.pod_name.as_deref(), first.growth_bytes_per_hour),
        (1, None, 55 << 20),
        "everywhere"
    );
    assert_eq!(merged.findings[1].pod_name.as_deref(), Some("b"));
    let third = answer(Verdict::NoLeakObserved, Vec::new());
    let merged = merge(&[("a", &slow), ("b", &fast), ("c", &third)], THRESHOLDS).unwrap();
    assert_eq!((merged.verdict, merged.spread, merged.of), (Verdict::LeakLikely, 2, 3));
    assert_eq!(merged.findings[0].pod_name.as_deref(), Some("b"), "where it grows fastest");
    let other_library = answer(Verdict::LeakLikely, vec![moved(1 << 20)]);
    assert_eq!(
        merge(&[("a", &slow), ("b", &other_library)], THRESHOLDS).unwrap().findings.len(),
        1,
        "another build of it"
    );
}

#[test]
fn alone_a_finding_names_its_pod() {
    let only = answer(Verdict::LeakLikely, vec![finding("f", 5 << 20)]);
    assert_eq!(merge(&[("a", &only)], THRESHOLDS).unwrap().findings[0].pod_name.as_deref(), Some("a"));
    assert_eq!(merge(&[], THRESHOLDS), None);
}

#[test]
fn the_verdict_that_says_most_decides_and_no_leak_needs_all() {
    let (leak, none, unsure) = (
        answer(Verdict::LeakLikely, Vec::new()),
        answer(Verdict::NoLeakObserved, Vec::new()),
        answer(Verdict::Inconclusive, Vec::new()),
    );
    let verdict = |answers: &[&Answer]| {
        let named: Vec<_> = answers.iter().map(|answer| ("p", *answer)).collect();
        merge(&named, THRESHOLDS).map(|merged| (merged.verdict, merged.confidence_percent)).unwrap()
    };
    assert_eq!(verdict(&[&none, &leak, &unsure]), (Verdict::LeakLikely, 80));
    assert_eq!(verdict(&[&none, &none]), (Verdict::NoLeakObserved, 80));
    assert_eq!(verdict(&[&none, &unsure]), (Verdict::NoLeakObserved, 40), "half of them say nothing");
}

#[test]
fn what_is_left_out_is_counted() {
    let many: Vec<Finding> = (0..5)
        .map(|number| Finding { rank: number, ..finding(&format!("f{number}"), i64::from(number) << 20) })
        .collect();
    let said = Answer { findings_omitted: 7, ..answer(Verdict::LeakLikely, many) };
    let merged = merge(&[("a", &said)], Thresholds { findings: 2, ..THRESHOLDS }).unwrap();
    let names: Vec<_> = merged.findings.iter().map(|finding| finding.frames[0].function.as_str()).collect();
    assert_eq!(names, ["f4", "f3"], "fastest first");
    assert_eq!((merged.below_thresholds, merged.findings_omitted), (1, 7 + 2));
}

#[test]
fn a_leak_of_young_blocks_waits_and_a_growing_buffer_does_not() {
    let aged = |name: &str, class: &str, oldest| Finding {
        class: class.to_owned(),
        oldest_age_seconds: oldest,
        ..finding(name, 5 << 20)
    };
    let said = answer(
        Verdict::LeakLikely,
        vec![
            aged("old", "Leak", Some(60)),
            aged("young", "Leak", Some(59)),
            aged("unknown", "Leak", None),
            aged("buffer", "Suspected", Some(1)),
        ],
    );
    let merged = merge(&[("a", &said)], THRESHOLDS).unwrap();
    let names: BTreeSet<_> =
        merged.findings.iter().map(|finding| finding.frames[0].function.as_str()).collect();
    assert_eq!((names, merged.below_thresholds), (BTreeSet::from(["buffer", "old", "unknown"]), 1));
}

#[test]
fn harmless_stacks_are_no_findings() {
    let plateau = Finding { class: "Plateau".to_owned(), ..finding("cache", 5 << 20) };
    assert_eq!(answer(Verdict::NoLeakObserved, vec![plateau]).findings, []);
}
