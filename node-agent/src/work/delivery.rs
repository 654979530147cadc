//! The end of a probe: the recording to the operator, then the last word to the API, which wakes the operator.

use std::time::Duration;

use kube::ResourceExt;
use leakhound_crds::names;
use tokio::time::Instant;

use super::Work;
use crate::{
    clock,
    metrics::{self, Reason},
    outcome::Outcome,
    status::{Upload, Word, Written},
    upload::{Answer, Parcel, Patience},
};

/// How long the last word waits for an upload. After that the digest stands for the recording until it is through.
const GRACE: Duration = Duration::from_secs(20);
/// Longest pause between two tries to say the last word.
const LONGEST: Duration = Duration::from_secs(30);

/// The probe was deleted, or the agent ends.
struct Interrupted {
    deleted: bool,
}

impl Work {
    /// Brings an outcome to the API and the recording to the operator, however long that takes.
    pub(super) async fn deliver(&mut self, outcome: Outcome) {
        self.ticket.outcome = Some(outcome.clone());
        self.save();
        let reason = outcome.reason();
        tracing::info!(probe = %self.probe.name_any(), %reason, message = outcome.message, "ended");
        match self.hand_over(&outcome).await {
            Ok(()) => {
                let label = Reason { reason: reason.to_string() };
                self.context.metrics.ended.get_or_create(&label).inc();
                self.forget();
            }
            Err(Interrupted { deleted: true }) => self.forget(),
            Err(Interrupted { deleted: false }) => self.keep().await,
        }
    }

    async fn hand_over(&mut self, outcome: &Outcome) -> Result<(), Interrupted> {
        let upload = match self.parcel().await {
            None => None,
            Some(Err(settled)) => Some(settled),
            Some(Ok(parcel)) => Some(self.upload(&parcel, outcome).await?),
        };
        if let Some(Upload::Missing { reason, message }) = &upload {
            tracing::warn!(probe = %self.probe.name_any(), reason, message, "the digest stands without a recording");
        }
        let word = self.last_word(outcome, upload);
        self.say_until_heard(&word).await
    }

    /// The recording that stands for the whole, or why there is none to send; `None` when nothing was watched.
    async fn parcel(&self) -> Option<Result<Parcel, Upload>> {
        let not_kept = |message| Upload::Missing { reason: "NotKept", message };
        let epoch = self.ticket.longest()?;
        if let Some(hash) = &epoch.stored {
            return Some(Err(Upload::Stored(hash.clone())));
        }
        if let Some(lost) = &epoch.lost {
            return Some(Err(not_kept(lost.clone())));
        }
        let read = Parcel::read(&self.entry.recording(epoch.number)).await;
        Some(read.map_err(|error| not_kept(format!("the recording could not be kept on the node: {error}"))))
    }

    async fn upload(&mut self, parcel: &Parcel, outcome: &Outcome) -> Result<Upload, Interrupted> {
        let spent = clock::now().duration_since(outcome.time.0);
        let mut patience = Patience::after(Duration::try_from(spent).unwrap_or_default());
        let grace = Instant::now() + GRACE;
        let mut spoke = false;
        let uid = self.probe.uid().unwrap_or_default();
        loop {
            let (asked, message) = match self.context.uploads.send(&uid, parcel).await {
                Ok(Answer::Stored) => {
                    self.count(metrics::Outcome::OK);
                    return Ok(Upload::Stored(parcel.digest()));
                }
                Ok(Answer::Refused { reason, message }) => {
                    self.count(metrics::Outcome::REFUSED);
                    return Ok(Upload::Missing { reason, message });
                }
                Ok(Answer::Later { after, message }) => (after, message),
                Err(error) => (None, error.to_string()),
            };
            self.count(metrics::Outcome::FAILED);
            tracing::warn!(probe = %self.probe.name_any(), message, "the recording was not uploaded yet");
            let Some(pause) = patience.pause(asked) else {
                let message = format!("gave up after an hour: {message}");
                return Ok(Upload::Missing { reason: "GaveUp", message });
            };
            if !spoke && Instant::now() + pause >= grace {
                spoke = true;
                let message = format!("tried again for up to an hour: {message}");
                let word =
                    self.last_word(outcome, Some(Upload::Missing { reason: names::RETRYING, message }));
                self.say_until_heard(&word).await?;
            }
            self.rest(pause).await?;
        }
    }

    fn last_word(&self, outcome: &Outcome, upload: Option<Upload>) -> Word {
        self.word(outcome.reason(), &outcome.message, upload)
    }

    async fn say_until_heard(&mut self, word: &Word) -> Result<(), Interrupted> {
        let mut pause = Duration::from_secs(1);
        loop {
            match self.writer.say(word).await {
                Written::Yes => return Ok(()),
                Written::ProbeGone => return Err(Interrupted { deleted: true }),
                Written::Failed => {
                    self.rest(pause).await?;
                    pause = (pause * 2).min(LONGEST);
                }
            }
        }
    }

    /// Pauses, unless the probe is deleted or the agent ends meanwhile.
    async fn rest(&mut self, pause: Duration) -> Result<(), Interrupted> {
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return Ok(()),
                () = self.context.drain.cancelled() => return Err(Interrupted { deleted: false }),
                changed = self.orders.changed() => match changed {
                    // what is over cannot be ordered anew before it is delivered
                    Ok(()) => {
                        let probe = self.orders.borrow_and_update().clone();
                        self.writer.update(&probe);
                    }
                    Err(_closed) => return Err(Interrupted { deleted: true }),
                }
            }
        }
    }

    fn count(&self, result: metrics::Outcome) {
        self.context.metrics.uploads.get_or_create(&result).inc();
    }
}
