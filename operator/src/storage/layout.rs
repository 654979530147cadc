//! Names of objects. Parts come from uids, hashes and our own random bits, never from what a user typed.

use std::fmt;

use object_store::path::Path;
use rustls::crypto::ring;

use crate::hex::hex;

/// 128 random bits, in hex: who knows them may read the reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportId(String);

impl ReportId {
    pub(super) fn random() -> Self {
        let mut bits = [0_u8; 16];
        // The operating system's generator; a failing one must not give a guessable id.
        while ring::default_provider().secure_random.fill(&mut bits).is_err() {}
        Self(hex(bits))
    }

    /// An id as it stands in a link; nothing else passes, so no path can be smuggled in.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        (text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
            .then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for ReportId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// One recording in the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoredRecording {
    /// Uid of the probe that it came from.
    pub(crate) probe: String,
    /// Of its bytes, in hex.
    pub(crate) sha256: String,
}

impl StoredRecording {
    pub(super) fn parse(path: &Path) -> Option<Self> {
        let (probe, sha256) = path.filename()?.strip_suffix(".lhr")?.rsplit_once('-')?;
        Some(Self { probe: probe.to_owned(), sha256: sha256.to_owned() })
    }

    pub(super) fn path(&self, investigation: &str) -> Path {
        recordings(investigation).join(format!("{}-{}.lhr", self.probe, self.sha256))
    }
}

pub(super) fn root() -> Path {
    Path::from("investigations")
}

pub(super) fn investigation(uid: &str) -> Path {
    root().join(uid)
}

pub(super) fn recordings(uid: &str) -> Path {
    investigation(uid).join("recordings")
}

pub(super) fn report_id(uid: &str) -> Path {
    investigation(uid).join("report-id")
}

pub(super) fn conclusion(uid: &str) -> Path {
    investigation(uid).join("conclusion.json")
}

pub(super) fn reports(id: &ReportId) -> Path {
    Path::from("reports").join(id.0.as_str())
}

pub(super) fn report(id: &ReportId, file: &str) -> Path {
    reports(id).join(file)
}
