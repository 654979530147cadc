//! Events on an investigation: what changed between two statuses, for `kubectl describe`.
//!
//! They are told after the status was written, so one may be missing after a crash, and none is told twice.

use kube::{
    Resource,
    runtime::events::{Event, EventType},
};
use leakhound_crds::{
    Condition, ConditionStatus, LeakInvestigation, LeakInvestigationStatus,
    condition::{
        BUDGET_EXCEEDED, LEAK_DETECTED, PROBING, REPORT_READY, SUCCEEDED, SUSPENDED, TARGETS_RESOLVED, find,
    },
    investigation::status::WatchedTarget,
};

use crate::{answer::cut, context::Context};

/// Longest note, by the API's rule of 1 kB; four bytes a character.
const NOTE: usize = 250;

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Telling {
    kind: EventType,
    reason: String,
    note: String,
}

/// What to tell, from the statuses before and after.
pub(crate) fn between(old: Option<&LeakInvestigationStatus>, new: &LeakInvestigationStatus) -> Vec<Telling> {
    let mut tellings = Vec::new();
    let mut tell = |kind, reason: &str, note: &str| {
        tellings.push(Telling { kind, reason: reason.to_owned(), note: note.to_owned() });
    };
    let became =
        |type_: &str, status: ConditionStatus| turned(old, new, type_).filter(|now| now.status == status);
    if let Some(now) = became(TARGETS_RESOLVED, ConditionStatus::True) {
        tell(EventType::Normal, "TargetsResolved", &now.message);
    }
    if let Some(now) = find(&new.conditions, TARGETS_RESOLVED)
        && now.reason == "NoAgentOnNode"
        && before(old, TARGETS_RESOLVED).is_none_or(|then| then.reason != now.reason)
    {
        tell(EventType::Warning, "NoAgentOnNode", &now.message);
    }
    if let Some(now) = became(PROBING, ConditionStatus::True) {
        tell(EventType::Normal, "ProbesAttached", &now.message);
    }
    for target in &new.targets {
        let was = old.and_then(|old| old.targets.iter().find(|then| then.pod_uid == target.pod_uid));
        if was.is_some_and(|then| then.restarts < target.restarts) {
            let note = format!("container {} of pod {} restarted", target.container, target.pod_name);
            tell(EventType::Warning, "TargetRestarted", &note);
        }
        let (then, now) = (was.map_or(0, oom_kills), oom_kills(target));
        if then < now {
            let note = format!(
                "the kernel killed a process in container {} of pod {} for want of memory: {now} since watching began",
                target.container, target.pod_name
            );
            tell(EventType::Warning, "OOMKilled", &note);
        }
    }
    if let Some(now) = became(BUDGET_EXCEEDED, ConditionStatus::True) {
        tell(EventType::Warning, "BudgetExceeded", &now.message);
    }
    if let Some(now) = became(PROBING, ConditionStatus::False)
        && before(old, PROBING).is_some_and(|then| then.status == ConditionStatus::True)
    {
        tell(EventType::Normal, "ProbesDetached", &now.message);
    }
    if let Some(now) = became(SUSPENDED, ConditionStatus::True) {
        tell(EventType::Normal, "Suspended", &now.message);
    }
    if let Some(now) = became(LEAK_DETECTED, ConditionStatus::True) {
        tell(EventType::Warning, "LeakFound", &now.message);
    }
    if let Some(now) = became(REPORT_READY, ConditionStatus::True) {
        let links: Vec<&str> = new.reports.iter().filter_map(|report| report.url.as_deref()).collect();
        let note = if links.is_empty() { now.message.clone() } else { links.join(" ") };
        tell(EventType::Normal, "ReportStored", &note);
    }
    if let Some(now) = became(SUCCEEDED, ConditionStatus::True) {
        tell(EventType::Normal, &now.reason, &now.message);
    }
    if let Some(now) = became(SUCCEEDED, ConditionStatus::False) {
        tell(EventType::Warning, &now.reason, &now.message);
    }
    tellings
}

fn oom_kills(target: &WatchedTarget) -> i32 {
    target.memory.as_ref().and_then(|memory| memory.oom_kills).unwrap_or(0)
}

fn before<'a>(old: Option<&'a LeakInvestigationStatus>, type_: &str) -> Option<&'a Condition> {
    find(&old?.conditions, type_)
}

/// A condition whose status is another one than before.
fn turned<'a>(
    old: Option<&LeakInvestigationStatus>,
    new: &'a LeakInvestigationStatus,
    type_: &str,
) -> Option<&'a Condition> {
    let now = find(&new.conditions, type_)?;
    before(old, type_).is_none_or(|then| then.status != now.status).then_some(now)
}

/// Tells it; an event that cannot be written is logged, and nothing depends on it.
pub(crate) async fn publish(context: &Context, investigation: &LeakInvestigation, telling: &Telling) {
    let event = Event {
        type_: telling.kind,
        reason: telling.reason.clone(),
        note: Some(cut(&telling.note, NOTE)),
        action: "Investigate".to_owned(),
        secondary: None,
    };
    if let Err(error) = context.recorder.publish(&event, &investigation.object_ref(&())).await {
        tracing::warn!(%error, reason = telling.reason, "an event could not be written");
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use leakhound_crds::investigation::status::Memory;

    use super::*;

    fn status(conditions: &[(&str, ConditionStatus, &str)], restarts: i32) -> LeakInvestigationStatus {
        let condition = |(type_, status, reason): &(&str, ConditionStatus, &str)| {
            Condition::new(type_, *status, reason, "because", Timestamp::UNIX_EPOCH)
        };
        LeakInvestigationStatus {
            conditions: conditions.iter().map(condition).collect(),
            targets: vec![WatchedTarget { pod_uid: "u".to_owned(), restarts, ..WatchedTarget::default() }],
            ..LeakInvestigationStatus::default()
        }
    }

    #[test]
    fn kills_are_told_when_there_are_more_of_them() {
        let killed = |kills| {
            let mut status = status(&[], 0);
            status.targets[0].memory = Some(Memory { oom_kills: kills, ..Memory::default() });
            status
        };
        for (old, new, told) in
            [(None, Some(0), 0), (None, Some(1), 1), (Some(1), Some(1), 0), (Some(1), Some(2), 1)]
        {
            let tellings = between(Some(&killed(old)), &killed(new));
            assert_eq!(tellings.len(), told, "{old:?} {new:?}");
            assert!(tellings.iter().all(|telling| telling.reason == "OOMKilled"));
        }
    }

    #[test]
    fn changes_are_told_once() {
        use ConditionStatus::{False, True, Unknown};
        let none = status(&[(SUCCEEDED, Unknown, "Pending")], 0);
        let absent = status(&[(TARGETS_RESOLVED, False, "NoAgentOnNode"), (PROBING, False, "NotStarted")], 0);
        let on = status(&[(TARGETS_RESOLVED, True, "Resolved"), (PROBING, True, "ProbesAttached")], 0);
        let again = status(&[(TARGETS_RESOLVED, True, "Resolved"), (PROBING, True, "ProbesAttached")], 1);
        let off = status(
            &[
                (TARGETS_RESOLVED, True, "Resolved"),
                (PROBING, False, "ProbesDetached"),
                (SUCCEEDED, True, "Completed"),
            ],
            1,
        );
        for (old, new, told) in [
            (None, &none, &[][..]),
            (Some(&none), &absent, &["NoAgentOnNode"][..]),
            (Some(&absent), &absent, &[][..]),
            (Some(&absent), &on, &["TargetsResolved", "ProbesAttached"][..]),
            (Some(&on), &again, &["TargetRestarted"][..]),
            (Some(&again), &off, &["ProbesDetached", "Completed"][..]),
            (Some(&off), &off, &[][..]),
        ] {
            let reasons: Vec<String> = between(old, new).into_iter().map(|telling| telling.reason).collect();
            assert_eq!(reasons, told);
        }
    }
}
