//! The end of an investigation: what its recordings say, and the files that people download.
//!
//! ```text
//! recording --judge--> Part (answer, files) ... --gather--> files about all parts --> Conclusion, stored last
//! ```
//!
//! Everything here is pure but [`Conclusion`]'s way into the store, which `controller::apply` takes. Recordings are judged
//! one at a time: one of them may need hundreds of megabytes.

mod combine;
mod cover;
mod gather;
mod joined;
mod judge;

use leakhound_crds::investigation::wishes::ReportFormat;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;

pub(crate) use gather::Gathering;
pub(crate) use judge::{JudgeError, Part, judge};

/// What an investigation was found to say. Kept beside its recordings, so that the status can be computed again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Conclusion {
    /// The recordings that it rests on, as `probe-sha256`, sorted. Another set means that it is out of date.
    pub(crate) basis: Vec<String>,
    /// Id of the reports in links.
    pub(crate) report_id: String,
    /// What each recording says.
    pub(crate) answers: Vec<Recorded>,
    /// The files.
    pub(crate) reports: Vec<StoredFile>,
    /// What could not be read, for people.
    pub(crate) problems: Vec<String>,
}

/// What the recording of one probe says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recorded {
    /// Uid of the probe.
    pub(crate) probe: String,
    /// What its recording says.
    pub(crate) answer: Answer,
}

/// A file for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredFile {
    /// `HTML`, `JSON`, `Pprof` or `Folded`.
    pub(crate) format: String,
    /// Its name behind the id.
    pub(crate) name: String,
    /// Its size.
    pub(crate) bytes: i64,
    /// Of its content, in hex.
    pub(crate) sha256: String,
}

/// A file before it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// The format that it answers for in the status; none for one that only a cover links to.
    pub(crate) format: Option<ReportFormat>,
    /// Its name behind the id.
    pub(crate) name: String,
    /// Its content.
    pub(crate) content: Vec<u8>,
}

/// Whose recording it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Uid of the probe.
    pub(crate) probe: String,
    /// Its investigation's namespace, which is the pod's.
    pub(crate) namespace: String,
    /// Name of the pod.
    pub(crate) pod: String,
    /// Name of the container.
    pub(crate) container: String,
    /// Ids of those of its containers that were killed for want of memory.
    pub(crate) oom_killed: Vec<String>,
}

/// Extension of a format's files.
pub(crate) fn extension(format: ReportFormat) -> &'static str {
    match format {
        ReportFormat::Html => "html",
        ReportFormat::Pprof => "pb.gz",
        ReportFormat::Json => "json",
        ReportFormat::Folded => "folded",
    }
}

/// A format as the API spells it.
pub(crate) fn spelled(format: ReportFormat) -> &'static str {
    match format {
        ReportFormat::Html => "HTML",
        ReportFormat::Pprof => "Pprof",
        ReportFormat::Json => "JSON",
        ReportFormat::Folded => "Folded",
    }
}

#[cfg(test)]
mod tests;
