//! Writes statuses to the API server: only what changed, and only onto the very object that was read.

use std::time::Duration;

use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use leakhound_crds::{LeakProbe, LeakProbeStatus};
use serde_json::json;

use super::{Speaker, Word, compose};
use crate::{
    FIELD_MANAGER, clock,
    metrics::{Metrics, Outcome},
};

/// Nobody waits longer than this for an API server that does not answer: deadlines hold without it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// The API says it now.
    Yes,
    /// The probe is not there any more, or another has its name.
    ProbeGone,
    /// Not now: the next write may do.
    Failed,
}

/// Whether one version of a probe is older than another: the answer to our own write is newer than what the watch tells
/// until it has caught up.
pub(crate) fn is_older(one: &LeakProbe, other: &LeakProbe) -> bool {
    let version = |probe: &LeakProbe| probe.resource_version()?.parse::<u64>().ok();
    version(one) < version(other)
}

/// Writes the status of one probe.
pub(crate) struct Writer {
    api: Api<LeakProbe>,
    metrics: Metrics,
    speaker: Speaker,
    /// As last seen or written.
    probe: LeakProbe,
}

impl Writer {
    /// For a probe as it was read.
    pub(crate) fn new(api: Api<LeakProbe>, metrics: Metrics, speaker: Speaker, probe: LeakProbe) -> Self {
        Self { api, metrics, speaker, probe }
    }

    /// The API has a newer version of the same probe.
    pub(crate) fn update(&mut self, probe: &LeakProbe) {
        if !is_older(probe, &self.probe) {
            self.probe = probe.clone();
        }
    }

    /// The probe as last seen or written.
    pub(crate) fn into_probe(self) -> LeakProbe {
        self.probe
    }

    /// Says something, unless it stands there already.
    pub(crate) async fn say(&mut self, word: &Word) -> Written {
        let written = tokio::time::timeout(PATIENCE, async {
            match self.apply(word).await {
                Err(kube::Error::Api(refusal)) if refusal.code == 409 => self.read_and_apply(word).await,
                other => other,
            }
        });
        let written = written.await.unwrap_or_else(|_elapsed| {
            let silence = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer from the API server");
            Err(kube::Error::Service(silence.into()))
        });
        let (outcome, written) = match written {
            Ok(()) => (Outcome::OK, Written::Yes),
            Err(kube::Error::Api(refusal)) if refusal.code == 404 => (Outcome::OK, Written::ProbeGone),
            Err(error) => {
                let refused = matches!(&error, kube::Error::Api(status) if (400..500).contains(&status.code));
                tracing::warn!(probe = %self.probe.name_any(), %error, "the probe's status was not written");
                (if refused { Outcome::REFUSED } else { Outcome::FAILED }, Written::Failed)
            }
        };
        self.metrics.status_writes.get_or_create(&outcome).inc();
        written
    }

    async fn apply(&mut self, word: &Word) -> kube::Result<()> {
        let before = self.probe.status.clone().unwrap_or_default();
        let now = clock::now();
        let status = compose(word, &self.speaker, &before.conditions, now);
        if status == before {
            return Ok(());
        }
        self.probe = self.patch(&status).await?;
        Ok(())
    }

    /// Somebody else wrote meanwhile. Another object under the same name must not inherit our numbers.
    async fn read_and_apply(&mut self, word: &Word) -> kube::Result<()> {
        let found = self.api.get(&self.probe.name_any()).await?;
        if found.uid() != self.probe.uid() {
            let gone = kube::core::Status::failure("another probe has this name", "NotFound").with_code(404);
            return Err(kube::Error::Api(gone.boxed()));
        }
        self.probe = found;
        self.apply(word).await
    }

    async fn patch(&self, status: &LeakProbeStatus) -> kube::Result<LeakProbe> {
        let name = self.probe.name_any();
        let patch = json!({
            "apiVersion": "leakhound.dev/v1alpha1",
            "kind": "LeakProbe",
            // the uid is not checked by the server, the version is
            "metadata": { "name": name, "resourceVersion": self.probe.resource_version() },
            "status": status,
        });
        self.api.patch_status(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(patch)).await
    }
}
