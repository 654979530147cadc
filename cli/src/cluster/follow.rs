//! Following an investigation until it is over.

use std::{
    io::{self, IsTerminal, Write},
    pin::pin,
    time::Duration,
};

use anyhow::{Result, anyhow, bail};
use futures::StreamExt;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::{
    WatchStreamExt,
    watcher::{self, watch_object},
};
use leakhound_crds::{ConditionStatus, LeakInvestigation, condition};
use tokio::signal::unix::Signal;

use super::{access::Access, refusal::Right};
use crate::{human, progress::Line, table::visible};

/// How following ended.
pub(super) enum Followed {
    /// The investigation is over.
    ToItsEnd(Box<LeakInvestigation>),
    /// The user had enough; the investigation goes on.
    Left,
}

/// Shows a line about an investigation until it is over, or the user leaves it by a signal.
pub(super) async fn follow(
    access: &Access,
    name: &str,
    duration: Duration,
    quiet: bool,
    mut interrupt: Signal,
) -> Result<Followed> {
    let line = Line::new(duration, quiet, "waiting for the operator");
    let mut log = Log { quiet: quiet || io::stderr().is_terminal(), last: String::new() };
    let mut events = pin!(watch_object(access.investigations(), name).default_backoff());
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut seen: Option<LeakInvestigation> = None;
    let followed = loop {
        tokio::select! {
            _ = interrupt.recv() => break Ok(Followed::Left),
            _ = ticks.tick() => {}
            event = events.next() => match event {
                Some(Ok(Some(now))) if is_over(&now) => break Ok(Followed::ToItsEnd(Box::new(now))),
                Some(Ok(Some(now))) => {
                    log.note(&now);
                    seen = Some(now);
                }
                Some(Ok(None)) => break Err(anyhow!("investigation {name} was deleted while it was followed")),
                Some(Err(error)) => match final_refusal(access, name, &error) {
                    Some(error) => break Err(error),
                    None => line.set(Duration::ZERO, "the API server does not answer: trying again".to_owned()),
                },
                None => break Err(anyhow!("the API server gives no more news of {name}")),
            },
        }
        if let Some(investigation) = &seen {
            let now = Timestamp::now();
            let (elapsed, mut message) = progress(investigation, duration, now);
            if is_unseen(investigation, now) {
                message = format!("no operator has taken notice so far: see `{}`", access.command("doctor"));
            }
            line.set(elapsed, message);
        }
    };
    line.clear();
    followed
}

/// State changes as lines, where no progress line can be drawn.
struct Log {
    quiet: bool,
    last: String,
}

impl Log {
    fn note(&mut self, investigation: &LeakInvestigation) {
        let state = state(investigation);
        if !self.quiet && state != self.last {
            let _ = writeln!(io::stderr(), "{state}");
        }
        self.last = state;
    }
}

/// Whether nothing more will come.
pub(super) fn is_over(investigation: &LeakInvestigation) -> bool {
    succeeded(investigation).is_some_and(|condition| condition.status != ConditionStatus::Unknown)
}

/// The condition that sums up.
pub(super) fn succeeded(investigation: &LeakInvestigation) -> Option<&leakhound_crds::Condition> {
    let status = investigation.status.as_ref()?;
    condition::find(&status.conditions, condition::SUCCEEDED)
}

fn state(investigation: &LeakInvestigation) -> String {
    succeeded(investigation).map_or_else(
        || "Pending".to_owned(),
        |condition| format!("{}: {}", condition.reason, visible(&condition.message)),
    )
}

/// How much of the time is over, and a line about it.
fn progress(investigation: &LeakInvestigation, duration: Duration, now: Timestamp) -> (Duration, String) {
    let status = investigation.status.as_ref();
    let started = status.and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    let Some(started) = started.filter(|_| succeeded(investigation).is_some_and(|it| it.reason == "Running"))
    else {
        return (Duration::ZERO, state(investigation));
    };
    let elapsed = Duration::try_from(now.duration_since(started)).unwrap_or_default().min(duration);
    let mut parts = vec![format!(
        "{} of {}",
        human::seconds(elapsed.as_secs_f64()),
        human::seconds(duration.as_secs_f64())
    )];
    if let Some(summary) = status.and_then(|status| status.summary.as_ref()) {
        parts.extend(
            summary.outstanding_bytes.map(|live| format!("{} live", human::bytes(live.unsigned_abs()))),
        );
        parts.extend(summary.growth.clone());
        parts.extend(summary.top_frame.as_deref().map(visible));
    }
    parts.push("(Ctrl-C leaves it running)".to_owned());
    (elapsed, parts.join("  "))
}

/// The operator, if there is one, takes notice of a new investigation within a second or two.
fn is_unseen(investigation: &LeakInvestigation, now: Timestamp) -> bool {
    const LONG: i64 = 20;
    let seen = investigation.status.as_ref().and_then(|status| status.observed_generation).is_some();
    let created = investigation.metadata.creation_timestamp.as_ref();
    !seen && created.is_some_and(|created| now.duration_since(created.0).as_secs() > LONG)
}

/// A refusal that trying again will not change.
fn final_refusal(access: &Access, name: &str, error: &watcher::Error) -> Option<anyhow::Error> {
    let (watcher::Error::InitialListFailed(error)
    | watcher::Error::WatchStartFailed(error)
    | watcher::Error::WatchFailed(error)) = error
    else {
        return None;
    };
    let is_final = matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404));
    is_final.then(|| access.refused(&format!("cannot follow investigation {name}"), error, Right::View))
}

/// Whether an investigation ended with a result.
pub(super) fn require_result(investigation: &LeakInvestigation) -> Result<()> {
    match succeeded(investigation) {
        Some(condition) if condition.status == ConditionStatus::False => {
            bail!(
                "the investigation ended without a result ({}): {}",
                condition.reason,
                visible(&condition.message)
            )
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn investigation(status: &serde_json::Value) -> LeakInvestigation {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "leakhound.dev/v1alpha1", "kind": "LeakInvestigation", "metadata": { "name": "cart" },
            "spec": { "target": { "podName": "cart-0" } }, "status": status,
        }))
        .unwrap()
    }

    fn with_reason(status: &str, reason: &str) -> serde_json::Value {
        serde_json::json!([{
            "type": "Succeeded", "status": status, "reason": reason, "message": "place 3 of 7 in the queue",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }])
    }

    fn line(status: &serde_json::Value) -> (Duration, String) {
        let now = "2026-01-01T00:02:30Z".parse().unwrap();
        progress(&investigation(status), Duration::from_mins(10), now)
    }

    #[test]
    fn before_the_start_its_state_is_told() {
        let (elapsed, text) = line(&serde_json::json!({ "conditions": with_reason("Unknown", "Queued") }));
        assert_eq!((elapsed, text.as_str()), (Duration::ZERO, "Queued: place 3 of 7 in the queue"));
        assert_eq!(line(&serde_json::json!({})).1, "Pending");
    }

    #[test]
    fn while_it_runs_its_numbers_are_told() {
        let mut status = serde_json::json!({
            "conditions": with_reason("Unknown", "Running"), "startTime": "2026-01-01T00:00:00Z",
            "summary": { "outstandingBytes": 1_258_291, "growth": "+420Mi/h", "topFrame": "open\u{1b}[2J" },
        });
        let (elapsed, text) = line(&status);
        assert_eq!(elapsed, Duration::from_secs(150));
        assert_eq!(
            text,
            "2 min of 10 min  1.20 MiB live  +420Mi/h  open\\u{1b}[2J  (Ctrl-C leaves it running)"
        );
        // a clock that is wrong by a day is no reason to show more than all of it
        status["startTime"] = "2025-12-31T00:00:00Z".into();
        assert_eq!(line(&status).0, Duration::from_mins(10));
    }

    #[test]
    fn an_operator_that_is_not_there_is_noticed() {
        let mut one = investigation(&serde_json::json!({}));
        one.metadata.creation_timestamp =
            Some(serde_json::from_value(serde_json::json!("2026-01-01T00:00:00Z")).unwrap());
        let at = |second: i64| Timestamp::from_second(1_767_225_600 + second).unwrap();
        assert_eq!((is_unseen(&one, at(5)), is_unseen(&one, at(25))), (false, true));
        one.status.get_or_insert_default().observed_generation = Some(1);
        assert!(!is_unseen(&one, at(25)));
    }

    #[test]
    fn it_is_over_with_or_without_a_result() {
        for (status, over, has_result) in
            [("Unknown", false, true), ("True", true, true), ("False", true, false)]
        {
            let one = investigation(&serde_json::json!({ "conditions": with_reason(status, "Some") }));
            assert_eq!((is_over(&one), require_result(&one).is_ok()), (over, has_result), "{status}");
        }
    }
}
