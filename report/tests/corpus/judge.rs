//! Compares what the analysis says of a planted program with the truth, and adds up the score.

use leakhound_report::analysis::{Analysis, Class, Finding, VerdictName};

use crate::truth::Case;

/// What was right and wrong about one case.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) case: String,
    pub(crate) verdict: Answer<VerdictName>,
    /// One per function that leaks.
    pub(crate) leaks: Vec<(String, Answer<Class>)>,
    /// One per other function of interest.
    pub(crate) classes: Vec<(String, Answer<Class>)>,
    /// Stacks called a leak that are none, as a sentence.
    pub(crate) false_alarms: Vec<String>,
}

/// What should have been said, best first, and what was.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) right: Vec<T>,
    /// Absent when nothing was said at all.
    pub(crate) given: Option<T>,
    pub(crate) because: String,
}

impl<T: PartialEq> Answer<T> {
    pub(crate) fn is_right(&self) -> bool {
        self.given.as_ref().is_some_and(|given| self.right.contains(given))
    }
}

/// Classes that tell a person to go and look for a leak.
const ALARMS: [Class; 2] = [Class::Leak, Class::Suspected];

/// Compares one analysis with the truth.
pub(crate) fn judge(case: &Case, analysis: &Analysis) -> Judgement {
    let leaks = case.leaks.iter().map(|function| {
        // One alarm on any stack through the function is enough to find the leak.
        let alarm = through(analysis, function).find(|finding| ALARMS.contains(&finding.class));
        let finding = alarm.or_else(|| largest(analysis, function));
        (function.clone(), answer(finding, ALARMS.to_vec()))
    });
    let classes = case
        .classes
        .iter()
        .map(|(function, right)| (function.clone(), answer(largest(analysis, function), right.clone())));
    let excused = |finding: &&Finding| {
        case.leaks.iter().chain(&case.unsure).any(|function| passes_through(finding, function))
    };
    let false_alarms = analysis
        .findings
        .iter()
        .filter(|finding| ALARMS.contains(&finding.class))
        .filter(|finding| !excused(finding))
        .map(|finding| {
            let stack: Vec<_> =
                finding.frames.iter().take(4).map(|frame| bare_name(&frame.function)).collect();
            format!("{:?} {}: {}", finding.class, stack.join(" < "), finding.evidence.because)
        });
    Judgement {
        case: case.name.clone(),
        verdict: Answer {
            right: case.verdict.clone(),
            given: Some(analysis.verdict.name),
            because: analysis.verdict.reasons.join(" "),
        },
        leaks: leaks.collect(),
        classes: classes.collect(),
        false_alarms: false_alarms.collect(),
    }
}

fn answer(finding: Option<&Finding>, right: Vec<Class>) -> Answer<Class> {
    Answer {
        right,
        given: finding.map(|finding| finding.class),
        because: finding.map_or_else(
            || "no stack goes through it".to_owned(),
            |finding| finding.evidence.because.clone(),
        ),
    }
}

fn largest<'a>(analysis: &'a Analysis, function: &'a str) -> Option<&'a Finding> {
    through(analysis, function).max_by_key(|finding| finding.allocated_bytes)
}

fn through<'a>(analysis: &'a Analysis, function: &'a str) -> impl Iterator<Item = &'a Finding> {
    analysis.findings.iter().filter(move |finding| passes_through(finding, function))
}

fn passes_through(finding: &Finding, function: &str) -> bool {
    finding.frames.iter().any(|frame| bare_name(&frame.function) == function)
}

/// `corpus::Cache::remember`, `remember::<T>`, `remember(unsigned long)` and `remember.part.0` are all `remember`.
fn bare_name(function: &str) -> String {
    let mut depth = 0;
    let mut plain = String::new();
    for character in function.chars() {
        match character {
            '<' => depth += 1,
            '>' => depth -= 1,
            '(' | '[' | '.' if depth == 0 => break,
            _ if depth == 0 => plain.push(character),
            _ => {}
        }
    }
    plain.rsplit("::").find(|part| !part.is_empty()).unwrap_or(function).trim().to_owned()
}

/// Right answers among the answers given, and among the answers wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Score {
    pub(crate) right: usize,
    pub(crate) false_alarms: usize,
    pub(crate) missed: usize,
}

impl Score {
    /// What the analysis has to reach on leaks.
    const GOOD: f64 = 0.95;

    /// Whether both precision and recall are high enough to be believed.
    pub(crate) fn is_good(self) -> bool {
        self.precision() >= Self::GOOD && self.recall() >= Self::GOOD
    }

    /// 1 when nothing was said.
    pub(crate) fn precision(self) -> f64 {
        share(self.right, self.false_alarms)
    }

    /// 1 when there was nothing to say.
    pub(crate) fn recall(self) -> f64 {
        share(self.right, self.missed)
    }
}

fn share(right: usize, wrong: usize) -> f64 {
    if right + wrong == 0 { 1.0 } else { right as f64 / (right + wrong) as f64 }
}

/// The score that matters most: leaking functions found, and innocent stacks accused.
pub(crate) fn score_leaks(judgements: &[Judgement]) -> Score {
    let leaks = || judgements.iter().flat_map(|judgement| &judgement.leaks);
    let right = leaks().filter(|(_, answer)| answer.is_right()).count();
    Score {
        right,
        missed: leaks().count() - right,
        false_alarms: judgements.iter().map(|judgement| judgement.false_alarms.len()).sum(),
    }
}

/// The score of one possible answer among many: an answer counts for the first of the right ones.
pub(crate) fn score_one<'a, T: PartialEq + 'a>(
    answers: impl Iterator<Item = &'a Answer<T>>,
    of: &T,
) -> Score {
    let mut score = Score::default();
    for answer in answers {
        let wanted = answer.right.first() == Some(of);
        match (answer.is_right(), wanted) {
            (true, true) => score.right += 1,
            (false, true) => score.missed += 1,
            (false, false) if answer.given.as_ref() == Some(of) => score.false_alarms += 1,
            _ => {}
        }
    }
    score
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_bare_whatever_the_language_wraps_it_in() {
        for (function, bare) in [
            ("remember", "remember"),
            ("remember.part.0", "remember"),
            ("remember(unsigned long)", "remember"),
            ("Node::Node(std::vector<int>) [clone .cold]", "Node"),
            ("cache::Cache::remember", "remember"),
            ("backlog::submit_job::<backlog::main::{closure#2}>", "submit_job"),
            ("<alloc::vec::Vec<u8> as core::clone::Clone>::clone", "clone"),
        ] {
            assert_eq!(bare_name(function), bare);
        }
    }

    #[test]
    fn answers_count_for_the_first_of_the_right_ones() {
        let answer = |right: &[Class], given| Answer { right: right.to_vec(), given, because: String::new() };
        let answers = [
            answer(&[Class::Leak, Class::Suspected], Some(Class::Suspected)),
            answer(&[Class::Leak], Some(Class::Plateau)),
            answer(&[Class::Leak], None),
            answer(&[Class::Plateau], Some(Class::Leak)),
        ];
        let leak = score_one(answers.iter(), &Class::Leak);
        assert_eq!((leak.right, leak.missed, leak.false_alarms), (1, 2, 1));
        assert!((leak.precision() - 1.0 / 2.0).abs() < 1e-9 && (leak.recall() - 1.0 / 3.0).abs() < 1e-9);
        let plateau = score_one(answers.iter(), &Class::Plateau);
        assert_eq!((plateau.right, plateau.missed, plateau.false_alarms), (0, 1, 1));
        assert!(!leak.is_good() && Score { right: 19, missed: 1, false_alarms: 1 }.is_good());
    }
}
