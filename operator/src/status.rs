//! The status of an investigation, whole, from what was observed. Pure: the same facts give the same status.
//!
//! Guarantees: at most 64 KiB as JSON, whatever targets call their functions; every time of change stays as long as its
//! statement does; nothing in it was only in memory.

mod budget;
mod cap;
mod conditions;
mod outcome;
mod targets;

use jiff::Timestamp;
use leakhound_crds::{
    Digest, LeakInvestigation, LeakInvestigationStatus, LeakProbe, Time,
    investigation::status::{StoredReport, Summary, WatchedTarget},
};

use crate::{
    answer::{Answer, Merged, Thresholds, cut, growth_text, merge},
    conclusion::Conclusion,
    queue::Turn,
    refusal::Refusal,
    stage::Stage,
};

pub(crate) use outcome::starting_deadline;
use outcome::{Outcome, outcome};

/// Longest function name in the columns of `kubectl get`, in characters.
const TOP_FRAME: usize = 64;

/// Everything that a status is computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) investigation: &'a LeakInvestigation,
    /// The containers that were chosen; none while there is an obstacle.
    pub(crate) targets: &'a [Tracked<'a>],
    /// Why nothing was chosen, or why what was chosen cannot start now.
    pub(crate) obstacle: Option<&'a Refusal>,
    /// What the recordings say, once they were analyzed.
    pub(crate) conclusion: Option<&'a Conclusion>,
    /// Where reports are served: `http://host:port`.
    pub(crate) report_url: &'a str,
    pub(crate) now: Timestamp,
}

/// A chosen container and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Tracked<'a> {
    /// Who it is, and what was last said of it.
    pub(crate) watched: WatchedTarget,
    pub(crate) stage: Stage,
    /// Its turn in the queue, while it waits.
    pub(crate) turn: Option<Turn>,
    /// Its probes, oldest first.
    pub(crate) probes: Vec<&'a LeakProbe>,
    /// What the agent last said of each probe that said something.
    pub(crate) digests: Vec<(&'a LeakProbe, Digest)>,
}

impl Facts<'_> {
    /// What is known about each container: its recording where there is one, else its agent's last digest. Of several
    /// stretches of time the one that says most counts.
    fn answers(&self) -> Vec<(&str, Answer)> {
        let recorded = |probe: &LeakProbe| {
            let answers = self.conclusion.iter().flat_map(|conclusion| &conclusion.answers);
            let uid = probe.metadata.uid.as_deref();
            answers.into_iter().find(|recorded| Some(recorded.probe.as_str()) == uid)
        };
        let mut answers = Vec::new();
        for target in self.targets {
            let of_target: Vec<Answer> = target
                .probes
                .iter()
                .filter_map(|probe| match recorded(probe) {
                    Some(recorded) => Some(recorded.answer.clone()),
                    None => target.digest_of(probe).map(Answer::from),
                })
                .collect();
            let named: Vec<(&str, &Answer)> = of_target.iter().map(|answer| ("", answer)).collect();
            if let Some(best) = crate::answer::strongest(&named) {
                answers.push((target.watched.pod_name.as_str(), best.clone()));
            }
        }
        answers
    }

    /// The answer about all containers, as far as it is known.
    pub(crate) fn merged(&self) -> Option<Merged> {
        let answers = self.answers();
        let answers: Vec<(&str, &Answer)> = answers.iter().map(|(pod, answer)| (*pod, answer)).collect();
        merge(&answers, thresholds(self.investigation))
    }
}

impl Tracked<'_> {
    fn digest_of(&self, probe: &LeakProbe) -> Option<&Digest> {
        self.digests.iter().find(|(of, _)| std::ptr::eq(*of, probe)).map(|(_, digest)| digest)
    }

    /// What the agent last said.
    fn digest(&self) -> Option<&Digest> {
        self.digests.last().map(|(_, digest)| digest)
    }
}

/// What an investigation does not want to hear of.
pub(crate) fn thresholds(investigation: &LeakInvestigation) -> Thresholds {
    let wished = &investigation.spec.thresholds;
    let bytes = |quantity: &leakhound_crds::ByteQuantity| {
        i64::try_from(quantity.bytes().unwrap_or_default()).unwrap_or(i64::MAX)
    };
    Thresholds {
        outstanding_bytes: bytes(&wished.min_outstanding),
        growth_bytes_per_hour: bytes(&wished.min_growth_per_hour),
        age_seconds: investigation
            .spec
            .min_age()
            .map_or(0, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX)),
        findings: usize::try_from(wished.max_findings).unwrap_or(1).clamp(1, crate::answer::MOST_FINDINGS),
    }
}

/// The status.
pub(crate) fn status(facts: &Facts<'_>) -> LeakInvestigationStatus {
    let none = LeakInvestigationStatus::default();
    let old = facts.investigation.status.as_ref().unwrap_or(&none);
    let outcome = outcome(facts);
    let merged = facts.merged();
    let targets: Vec<WatchedTarget> =
        facts.targets.iter().map(|target| targets::watched(target, &facts.investigation.spec)).collect();
    let starts = facts.targets.iter().flat_map(|target| &target.probes);
    let start =
        starts.filter_map(|probe| probe.status.as_ref()?.start_time.clone()).min_by_key(|time| time.0);
    let is_over = matches!(outcome, Outcome::Over { .. });
    let completion = old.completion_time.clone().or_else(|| is_over.then_some(Time(facts.now)));
    let mut status = LeakInvestigationStatus {
        observed_generation: facts.investigation.metadata.generation,
        start_time: old.start_time.clone().or(start),
        probed_seconds: targets::probed_seconds(facts.targets),
        summary: summary(facts, merged.as_ref()),
        conditions: conditions::conditions(facts, &outcome, merged.as_ref(), &old.conditions),
        targets,
        findings: merged.as_ref().map(|merged| merged.findings.clone()).unwrap_or_default(),
        findings_omitted: merged
            .as_ref()
            .map(|merged| merged.findings_omitted)
            .filter(|omitted| *omitted > 0),
        reports: reports(facts, completion.as_ref()),
        completion_time: completion,
    };
    cap::cap(&mut status);
    status
}

fn summary(facts: &Facts<'_>, merged: Option<&Merged>) -> Option<Summary> {
    let watched = facts.targets.iter().filter(|target| !target.probes.is_empty()).count();
    let targets = (!facts.targets.is_empty()).then(|| format!("{watched}/{}", facts.targets.len()));
    let Some(merged) = merged else {
        return targets.map(|targets| Summary { targets: Some(targets), ..Summary::default() });
    };
    let top = merged.findings.first().and_then(|finding| finding.frames.first());
    Some(Summary {
        targets,
        verdict: Some(merged.verdict),
        confidence_percent: Some(merged.confidence_percent),
        outstanding_bytes: Some(merged.outstanding_bytes),
        growth_bytes_per_hour: Some(merged.growth_bytes_per_hour),
        growth: Some(growth_text(merged.growth_bytes_per_hour)),
        top_frame: top.map(|frame| cut(&frame.function, TOP_FRAME)),
    })
}

fn reports(facts: &Facts<'_>, completion: Option<&Time>) -> Vec<StoredReport> {
    let Some(conclusion) = facts.conclusion else { return Vec::new() };
    let ttl = facts.investigation.spec.ttl_seconds_after_finished;
    let expiration = completion.zip(ttl).and_then(|(completion, ttl)| {
        completion.0.checked_add(jiff::SignedDuration::from_secs(ttl.into())).ok().map(Time)
    });
    let report = |file: &crate::conclusion::StoredFile| StoredReport {
        format: file.format.clone(),
        url: Some(format!("{}/r/{}/{}", facts.report_url, conclusion.report_id, file.name)),
        size_bytes: Some(file.bytes),
        sha256: Some(file.sha256.clone()),
        expiration_time: expiration.clone(),
    };
    conclusion.reports.iter().map(report).collect()
}

#[cfg(test)]
mod tests;
