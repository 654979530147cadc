//! The score as text: precision and recall per class and per verdict, then every wrong answer with its reason.

use std::fmt::{Debug, Write as _};

use leakhound_report::analysis::{Class, VerdictName};

use crate::judge::{Answer, Judgement, Score, score_leaks, score_one};

const VERDICTS: [VerdictName; 6] = [
    VerdictName::LeakLikely,
    VerdictName::GrowthUnexplained,
    VerdictName::AllocatorRetention,
    VerdictName::OffHeapGrowth,
    VerdictName::NoLeakObserved,
    VerdictName::Inconclusive,
];

/// The whole report.
pub(crate) fn write(judgements: &[Judgement]) -> String {
    let mut text = format!("{} programs\n\n", judgements.len());
    heading(&mut text, "leaks");
    row(&mut text, "any leaking function", score_leaks(judgements));
    heading(&mut text, "class of a function");
    for class in Class::ALL {
        let answers = judgements
            .iter()
            .flat_map(|judgement| judgement.leaks.iter().chain(&judgement.classes))
            .map(|(_, answer)| answer);
        row(&mut text, &format!("{class:?}"), score_one(answers, &class));
    }
    heading(&mut text, "verdict on a program");
    for verdict in VERDICTS {
        let answers = judgements.iter().map(|judgement| &judgement.verdict);
        row(&mut text, &format!("{verdict:?}"), score_one(answers, &verdict));
    }
    text.push_str("wrong answers\n");
    let before = text.len();
    for judgement in judgements {
        write_wrong(&mut text, judgement);
    }
    if text.len() == before {
        text.push_str("  none\n");
    }
    text
}

fn heading(text: &mut String, name: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{name:<24}{:>6}{:>8}{:>8}{:>11}{:>8}",
        "right", "missed", "false", "precision", "recall"
    );
}

fn row(text: &mut String, name: &str, score: Score) {
    if score.right + score.missed + score.false_alarms == 0 {
        return;
    }
    let _ = writeln!(
        text,
        "  {name:<22}{:>6}{:>8}{:>8}{:>11.2}{:>8.2}",
        score.right,
        score.missed,
        score.false_alarms,
        score.precision(),
        score.recall()
    );
}

fn write_wrong(text: &mut String, judgement: &Judgement) {
    let mut say = |what: &str, wanted: String, said: String, because: &str| {
        let _ = writeln!(text, "  {}: {what} should be {wanted}, was {said}: {because}", judgement.case);
    };
    for (function, answer) in judgement.leaks.iter().chain(&judgement.classes) {
        if !answer.is_right() {
            say(function, wanted(answer), was(answer), &answer.because);
        }
    }
    if !judgement.verdict.is_right() {
        say("the verdict", wanted(&judgement.verdict), was(&judgement.verdict), &judgement.verdict.because);
    }
    for alarm in &judgement.false_alarms {
        say("a stack", "no alarm".to_owned(), "accused".to_owned(), alarm);
    }
}

fn wanted<T: Debug>(answer: &Answer<T>) -> String {
    answer.right.iter().map(|right| format!("{right:?}")).collect::<Vec<_>>().join(" or ")
}

fn was<T: Debug>(answer: &Answer<T>) -> String {
    answer.given.as_ref().map_or_else(|| "nothing".to_owned(), |given| format!("{given:?}"))
}
