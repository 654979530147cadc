//! One recording: what it says, and its own files.

use leakhound_crds::investigation::wishes::ReportFormat;
use leakhound_report::{
    Options,
    analysis::Analysis,
    analyze, folded, html, pprof,
    recording::{Event, EventKind, Limits, Pod, ReadError, Record, Recording, read_within},
};
use thiserror::Error;

use super::{File, Origin, extension};
use crate::answer::Answer;

/// What a recording may need in memory: five times the largest that an agent has been seen to make in a day, and a quarter of
/// what the operator's pod may have, as its analysis and its page come on top.
pub(super) const LIMITS: Limits = Limits { line_bytes: 32 << 20, recording_bytes: 128 << 20 };

/// Why a recording was not judged.
#[derive(Debug, Error)]
pub(crate) enum JudgeError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its page cannot be made.
    #[error(transparent)]
    Render(#[from] html::RenderError),
    /// Its analysis cannot be written down.
    #[error("cannot write the analysis as JSON")]
    Json(#[from] serde_json::Error),
    /// A profile cannot be written.
    #[error("cannot write the profile")]
    Profile(#[from] std::io::Error),
}

/// One recording, judged.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) origin: Origin,
    pub(crate) answer: Answer,
    pub(crate) recording: Recording,
    pub(crate) analysis: Analysis,
}

/// Reads and judges a recording.
pub(crate) fn judge(origin: Origin, bytes: &[u8]) -> Result<Part, JudgeError> {
    let mut recording = read_within(bytes, LIMITS)?;
    note_kill(&mut recording, &origin.oom_killed);
    recording.header.target.pod = Some(Pod {
        namespace: origin.namespace.clone(),
        name: origin.pod.clone(),
        container: origin.container.clone(),
    });
    let analysis = analyze(&recording, &Options::default());
    let answer = Answer::from(&analysis);
    Ok(Part { origin, answer, recording, analysis })
}

/// The kubelet knows that the container was killed for want of memory; its cgroup is gone before an agent can ask it.
fn note_kill(recording: &mut Recording, killed: &[String]) {
    let watched = recording.header.target.container.as_deref().unwrap_or_default();
    if !watched.is_empty() && killed.iter().any(|id| id.ends_with(watched)) {
        let snapshot = recording.snapshots.last().map_or(0, |snapshot| snapshot.time_ns);
        recording.push(Record::Event(Event {
            time_ns: recording.end.as_ref().map_or(snapshot, |end| end.time_ns),
            pid: None,
            what: EventKind::OutOfMemory,
            detail: "the kubelet says that the kernel killed the container for want of memory (OOMKilled)"
                .to_owned(),
        }));
    }
}

impl Part {
    /// The part in one format, under a name without extension.
    pub(super) fn file(&self, format: ReportFormat, stem: &str) -> Result<File, JudgeError> {
        let content = match format {
            ReportFormat::Html => html::render(&self.recording, &self.analysis)?.into_bytes(),
            ReportFormat::Json => serde_json::to_vec(&self.analysis)?,
            ReportFormat::Pprof => pprof_of(&self.recording)?,
            ReportFormat::Folded => folded_of(&self.recording)?,
        };
        Ok(File { format: Some(format), name: format!("{stem}.{}", extension(format)), content })
    }
}

pub(super) fn pprof_of(recording: &Recording) -> Result<Vec<u8>, JudgeError> {
    let mut content = Vec::new();
    pprof::write(recording, &mut content)?;
    Ok(content)
}

pub(super) fn folded_of(recording: &Recording) -> Result<Vec<u8>, JudgeError> {
    let mut content = Vec::new();
    folded::write(recording, folded::Options::default(), &mut content)?;
    Ok(content)
}
