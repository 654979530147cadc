//! From the answers about single containers to the answer about all of them.

use std::collections::BTreeMap;

use leakhound_crds::{Finding, Verdict};
use leakhound_report::stack_key::StackKey;

use super::{Answer, count};

/// What is too small or too young to be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thresholds {
    pub(crate) outstanding_bytes: i64,
    pub(crate) growth_bytes_per_hour: i64,
    /// Of a leak's oldest block. What only grows may consist of young blocks, such as a buffer that is made ever larger.
    pub(crate) age_seconds: i64,
    pub(crate) findings: usize,
}

impl Thresholds {
    fn admit(&self, finding: &Finding) -> bool {
        let too_young = finding.class == "Leak"
            && finding.oldest_age_seconds.is_some_and(|oldest| oldest < self.age_seconds);
        finding.outstanding_bytes >= self.outstanding_bytes
            && finding.growth_bytes_per_hour >= self.growth_bytes_per_hour
            && !too_young
    }
}

/// The answer about all containers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Merged {
    pub(crate) verdict: Verdict,
    pub(crate) confidence_percent: i32,
    pub(crate) outstanding_bytes: i64,
    pub(crate) growth_bytes_per_hour: i64,
    /// Ranked, within the thresholds.
    pub(crate) findings: Vec<Finding>,
    /// Findings that were left out for want of room.
    pub(crate) findings_omitted: i32,
    /// Findings that were left out because they are below the thresholds.
    pub(crate) below_thresholds: usize,
    /// In how many containers the first finding grows.
    pub(crate) spread: usize,
    /// Containers with an answer.
    pub(crate) of: usize,
    /// Why, of the container that decided.
    pub(crate) reasons: Vec<String>,
}

/// Merges the answers about `(pod, container)`s; `None` without any.
pub(crate) fn merge(answers: &[(&str, &Answer)], thresholds: Thresholds) -> Option<Merged> {
    let decisive = strongest(answers)?;
    let agree = answers.iter().filter(|(_, answer)| answer.verdict == decisive.verdict).count();
    let mut groups = group(answers);
    let all = groups.len();
    groups.retain(|group| thresholds.admit(&group.finding));
    let below_thresholds = all - groups.len();
    let spread = groups.first().map_or(0, |group| group.pods.len());
    let surplus = groups.len().saturating_sub(thresholds.findings);
    groups.truncate(thresholds.findings);
    let omitted = answers.iter().map(|(_, answer)| answer.findings_omitted).fold(0, i32::saturating_add);
    let of = answers.len();
    Some(Merged {
        verdict: decisive.verdict,
        confidence_percent: confidence(decisive, agree, of),
        outstanding_bytes: sum(answers, |answer| answer.outstanding_bytes),
        growth_bytes_per_hour: sum(answers, |answer| answer.growth_bytes_per_hour),
        findings: groups.into_iter().zip(1..).map(|(group, rank)| group.ranked(rank, of)).collect(),
        findings_omitted: omitted.saturating_add(count(surplus)),
        below_thresholds,
        spread,
        of,
        reasons: decisive.reasons.clone(),
    })
}

/// The answer whose verdict says most, and of equals the surest.
pub(crate) fn strongest<'a>(answers: &[(&str, &'a Answer)]) -> Option<&'a Answer> {
    answers.iter().map(|(_, answer)| *answer).max_by_key(|answer| weight(answer))
}

/// The verdict that says most decides; a leak in one replica is a leak.
fn weight(answer: &Answer) -> (u8, i32) {
    let weight = match answer.verdict {
        Verdict::LeakLikely => 5,
        Verdict::GrowthUnexplained => 4,
        Verdict::OffHeapGrowth => 3,
        Verdict::AllocatorRetention => 2,
        Verdict::NoLeakObserved => 1,
        Verdict::Inconclusive => 0,
    };
    (weight, answer.confidence_percent)
}

/// "No leak" is only as sure as the share of containers of which it could be said.
fn confidence(decisive: &Answer, agree: usize, of: usize) -> i32 {
    match decisive.verdict {
        Verdict::NoLeakObserved if of > 0 => {
            decisive.confidence_percent.saturating_mul(count(agree)) / count(of).max(1)
        }
        _ => decisive.confidence_percent,
    }
}

struct Group<'a> {
    finding: Finding,
    pods: Vec<&'a str>,
    /// Growth of the one that `finding` shows.
    shown: i64,
}

impl Group<'_> {
    fn ranked(self, rank: i32, of: usize) -> Finding {
        let everywhere = of > 1 && self.pods.len() == of;
        let pod = self.pods.first().map(|pod| (*pod).to_owned());
        Finding { rank, pod_name: pod.filter(|_| !everywhere), ..self.finding }
    }
}

/// Findings of the same stack become one: its numbers add up, and the pod in which it grows fastest comes first.
fn group<'a>(answers: &[(&'a str, &'a Answer)]) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<_, Group<'a>> = BTreeMap::new();
    for (pod, answer) in answers {
        for finding in &answer.findings {
            // A stack without a single name is like no other.
            let anonymous = finding.frames.is_empty().then_some((*pod, finding.rank));
            let calls = finding.frames.iter().map(|frame| (&*frame.module, &*frame.function));
            let key = (StackKey::of(calls), anonymous);
            let growth = finding.growth_bytes_per_hour;
            let Some(group) = groups.get_mut(&key) else {
                groups.insert(key, Group { finding: finding.clone(), pods: vec![pod], shown: growth });
                continue;
            };
            let total = &mut group.finding;
            total.outstanding_bytes = total.outstanding_bytes.saturating_add(finding.outstanding_bytes);
            total.outstanding_count = total.outstanding_count.saturating_add(finding.outstanding_count);
            total.growth_bytes_per_hour = total.growth_bytes_per_hour.saturating_add(growth);
            total.oldest_age_seconds = total.oldest_age_seconds.max(finding.oldest_age_seconds);
            if finding.class == "Leak" {
                total.class.clone_from(&finding.class);
            }
            if growth > group.shown {
                group.shown = growth;
                total.frames.clone_from(&finding.frames);
                total.frames_omitted = finding.frames_omitted;
                total.confidence_percent = finding.confidence_percent;
                total.stack_id.clone_from(&finding.stack_id);
            }
            if !group.pods.contains(pod) {
                let at = if growth == group.shown { 0 } else { group.pods.len() };
                group.pods.insert(at, pod);
            }
        }
    }
    let mut groups: Vec<Group<'a>> = groups.into_values().collect();
    groups.sort_by_key(|group| {
        let finding = &group.finding;
        let certain = finding.class != "Leak";
        (
            certain,
            -i128::from(finding.growth_bytes_per_hour),
            -i128::from(finding.outstanding_bytes),
            finding.rank,
        )
    });
    groups
}

fn sum(answers: &[(&str, &Answer)], value: impl Fn(&Answer) -> i64) -> i64 {
    answers.iter().map(|(_, answer)| value(answer)).fold(0, i64::saturating_add)
}
