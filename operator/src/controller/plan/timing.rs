//! What the clock decides: who waited too long, and when to look again.

use jiff::{SignedDuration, Timestamp};

use crate::{
    controller::observed::Observed,
    queue::Turn,
    refusal::{Reason, Refusal},
    stage::{End, EndReason, Stage},
    status::{self, Tracked},
};

/// How long a target that cannot start yet is left alone before somebody looks again.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// How often containers and agents of probes that are on are looked at.
pub(super) const WATCH: SignedDuration = SignedDuration::from_secs(5);
/// Those that wait in the queue are woken when it is their turn; this is for wake-ups that were lost.
const QUEUE: SignedDuration = SignedDuration::from_secs(60);

/// Whether a target waited too long for its first probe. For the next one after a pause or a restart it waits as long as it
/// takes: there is a result already.
pub(crate) fn has_expired(observed: &Observed, target: &Tracked<'_>) -> bool {
    target.stage == Stage::Waiting && target.probes.is_empty() && observed.now >= deadline(observed)
}

/// Until when the first probe must be on.
fn deadline(observed: &Observed) -> Timestamp {
    status::starting_deadline(&observed.investigation, observed.now)
}

/// What waited too long for its first probe does not start any more.
pub(super) fn expire_waiting(observed: &Observed, tracked: &mut [Tracked<'_>], why: Option<&Refusal>) {
    for target in tracked.iter_mut().filter(|target| has_expired(observed, target)) {
        let reason = match why {
            Some(refusal) if refusal.reason == Reason::NoAgentOnNode => EndReason::NoAgentOnNode,
            _ => EndReason::DeadlineExceeded,
        };
        let because = match (why, target.turn) {
            (Some(refusal), _) => refusal.message.clone(),
            (None, Some(Turn::Later { ahead, .. })) => {
                format!("{ahead} others were ahead in the queue")
            }
            (None, _) => "it was not its turn yet".to_owned(),
        };
        target.stage = Stage::Ended(End {
            reason,
            message: format!(
                "not started within spec.startingDeadlineSeconds: {because}; create another LeakInvestigation, perhaps \
                 with a longer one"
            ),
        });
    }
}

/// When to look again at one that goes on.
pub(super) fn wake(observed: &Observed, tracked: &[Tracked<'_>]) -> Option<SignedDuration> {
    let until_deadline = deadline(observed).duration_since(observed.now).max(SignedDuration::from_secs(1));
    if tracked.is_empty() {
        // Nothing is there to be watched: look again, ever more rarely, so that a thousand of them cost little.
        return (!observed.investigation.spec.suspend)
            .then(|| (age(observed) / 4).clamp(LOOK_AGAIN / 2, LOOK_AGAIN * 3).min(until_deadline));
    }
    let watching = tracked.iter().any(|target| {
        matches!(target.stage, Stage::Starting | Stage::Probing | Stage::Stopping | Stage::Ending)
    });
    let waits = |target: &&Tracked<'_>| target.stage == Stage::Waiting;
    let ready = tracked.iter().filter(waits).any(|target| target.turn == Some(Turn::Now));
    let first = tracked.iter().filter(waits).any(|target| target.probes.is_empty());
    let waiting = tracked.iter().any(|target| waits(&target));
    [
        watching.then_some(WATCH),
        ready.then_some(LOOK_AGAIN),
        waiting.then_some(QUEUE),
        first.then_some(until_deadline),
    ]
    .into_iter()
    .flatten()
    .min()
}

/// The time since it was created.
fn age(observed: &Observed) -> SignedDuration {
    let created = observed.investigation.metadata.creation_timestamp.as_ref();
    created.map_or(SignedDuration::ZERO, |created| observed.now.duration_since(created.0))
}
