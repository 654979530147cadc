//! The conditions of a status: one small function for each.

use leakhound_crds::{
    Condition, ConditionStatus, Verdict,
    condition::{
        BUDGET_EXCEEDED, LEAK_DETECTED, PROBING, REPORT_READY, SUCCEEDED, SUSPENDED, TARGETS_RESOLVED, find,
        set,
    },
};

use super::{Facts, Outcome, budget};
use crate::{answer::Merged, stage::Stage};

/// What a condition says: status, reason, message.
type Says = (ConditionStatus, String, String);

/// All conditions; `old` gives the times of change of those that stay as they were.
pub(super) fn conditions(
    facts: &Facts<'_>,
    outcome: &Outcome,
    merged: Option<&Merged>,
    old: &[Condition],
) -> Vec<Condition> {
    let mut conditions = old.to_vec();
    let generation = facts.investigation.metadata.generation;
    for (type_, (status, reason, message)) in [
        (TARGETS_RESOLVED, targets_resolved(facts)),
        (PROBING, probing(facts)),
        (REPORT_READY, report_ready(facts, outcome)),
        (LEAK_DETECTED, leak_detected(outcome, merged)),
        (BUDGET_EXCEEDED, budget_exceeded(facts)),
        (SUSPENDED, suspended(facts)),
        (SUCCEEDED, succeeded(outcome)),
    ] {
        // What never was suspended was not from its first moment on: the time to start counts from there.
        let since = if type_ == SUSPENDED && status == ConditionStatus::False && find(old, type_).is_none() {
            facts.investigation.metadata.creation_timestamp.as_ref().map_or(facts.now, |created| created.0)
        } else {
            facts.now
        };
        let condition = Condition::new(type_, status, &reason, &message, since);
        set(&mut conditions, condition.of_generation(generation));
    }
    conditions
}

fn says(status: ConditionStatus, reason: &str, message: impl Into<String>) -> Says {
    (status, reason.to_owned(), message.into())
}

fn targets_resolved(facts: &Facts<'_>) -> Says {
    if facts.targets.is_empty() {
        return match facts.obstacle {
            Some(refusal) => {
                says(ConditionStatus::False, &refusal.reason.to_string(), refusal.message.clone())
            }
            None => says(ConditionStatus::Unknown, "NotLookedFor", "nobody has looked for the target yet"),
        };
    }
    let named: Vec<String> = facts
        .targets
        .iter()
        .map(|target| {
            let watched = &target.watched;
            let node = watched.node_name.as_deref().unwrap_or("?");
            format!("container {} of pod {} on node {node}", watched.container, watched.pod_name)
        })
        .collect();
    says(ConditionStatus::True, "Resolved", named.join(", "))
}

fn probing(facts: &Facts<'_>) -> Says {
    let on: Vec<&str> = facts
        .targets
        .iter()
        .filter(|target| matches!(target.stage, Stage::Probing | Stage::Stopping))
        .map(|target| target.watched.pod_name.as_str())
        .collect();
    if !on.is_empty() {
        return says(ConditionStatus::True, "ProbesAttached", format!("probes are on in {}", on.join(", ")));
    }
    let was_on = facts.targets.iter().any(|target| !target.probes.is_empty());
    let all_ended = facts.targets.iter().all(|target| matches!(target.stage, Stage::Ended(_)));
    match (was_on, all_ended) {
        (true, true) => says(ConditionStatus::False, "ProbesDetached", "all probes are off"),
        (true, false) => says(ConditionStatus::False, "ProbesDetached", "no probe is on at the moment"),
        (false, _) => says(ConditionStatus::False, "NotStarted", "no probe has been on yet"),
    }
}

fn report_ready(facts: &Facts<'_>, outcome: &Outcome) -> Says {
    let Some(conclusion) = facts.conclusion else {
        return match outcome {
            Outcome::Open { .. } => {
                says(ConditionStatus::False, "NotFinished", "the report is made when the investigation ends")
            }
            Outcome::Over { .. } => says(
                ConditionStatus::False,
                "NoRecording",
                "there is no report, because nothing was recorded",
            ),
        };
    };
    let problems = conclusion.problems.join("; ");
    if conclusion.reports.is_empty() {
        let why = if problems.is_empty() { "no recording arrived".to_owned() } else { problems };
        return says(
            ConditionStatus::False,
            "SummaryOnly",
            format!(
                "{why}: what stands in this status is all there is, from the agent's last digest; see the agent's log \
                 for the upload, and create another LeakInvestigation for a report"
            ),
        );
    }
    let message = if problems.is_empty() { "see status.reports for the links".to_owned() } else { problems };
    says(ConditionStatus::True, "ReportStored", message)
}

fn leak_detected(outcome: &Outcome, merged: Option<&Merged>) -> Says {
    let is_over = matches!(outcome, Outcome::Over { .. });
    let Some(merged) = merged else {
        let reason = if is_over { "NoResult" } else { "NotKnownYet" };
        return says(ConditionStatus::Unknown, reason, "nothing is known about the target's memory");
    };
    let first = merged.findings.first().and_then(|finding| finding.frames.first());
    match merged.verdict {
        Verdict::LeakLikely if merged.findings.is_empty() => says(
            ConditionStatus::False,
            "BelowThresholds",
            format!(
                "{} stacks lose memory, all below spec.thresholds (minAge, minOutstanding, minGrowthPerHour): see the report",
                merged.below_thresholds
            ),
        ),
        Verdict::LeakLikely => says(
            ConditionStatus::True,
            "OutstandingGrowth",
            format!(
                "{} sure: {} loses memory in {} of {} containers, {} in all",
                percent(merged.confidence_percent),
                first.map_or("a stack without names", |frame| frame.function.as_str()),
                merged.spread,
                merged.of,
                crate::answer::growth_text(merged.growth_bytes_per_hour),
            ),
        ),
        Verdict::Inconclusive => says(ConditionStatus::Unknown, "Inconclusive", why(merged)),
        verdict => says(ConditionStatus::False, &verdict.to_string(), why(merged)),
    }
}

fn why(merged: &Merged) -> String {
    if merged.reasons.is_empty() {
        return format!("{} so far, {} sure", merged.verdict, percent(merged.confidence_percent));
    }
    merged.reasons.join(" ")
}

fn percent(value: i32) -> String {
    format!("{value} %")
}

fn budget_exceeded(facts: &Facts<'_>) -> Says {
    let spec = &facts.investigation.spec;
    let mut measured = false;
    for target in facts.targets {
        for (_, digest) in &target.digests {
            measured = true;
            if let Some(message) = budget::exceeded(spec, digest) {
                let message = format!("pod {}: {message}", target.watched.pod_name);
                return says(ConditionStatus::True, "OverBudget", message);
            }
        }
    }
    if measured {
        says(ConditionStatus::False, "WithinBudget", "watching costs less than spec.budget allows")
    } else {
        says(ConditionStatus::Unknown, "NotMeasured", "no probe has been on yet")
    }
}

fn suspended(facts: &Facts<'_>) -> Says {
    if !facts.investigation.spec.suspend {
        return says(ConditionStatus::False, "NotSuspended", "spec.suspend is false");
    }
    let still_on = facts
        .targets
        .iter()
        .filter(|target| matches!(target.stage, Stage::Starting | Stage::Probing | Stage::Stopping))
        .count();
    if still_on == 0 {
        says(ConditionStatus::True, "Suspended", "spec.suspend is true and no probe is on")
    } else {
        says(ConditionStatus::True, "Suspending", format!("{still_on} probes are being taken off"))
    }
}

fn succeeded(outcome: &Outcome) -> Says {
    match outcome {
        Outcome::Open { reason, message } => says(ConditionStatus::Unknown, reason, message.clone()),
        Outcome::Over { has_result, reason, message } => {
            let status = if *has_result { ConditionStatus::True } else { ConditionStatus::False };
            says(status, reason, message.clone())
        }
    }
}
