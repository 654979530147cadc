//! From parts to the files of the whole investigation.

use leakhound_crds::investigation::wishes::ReportFormat;

use super::{
    File, JudgeError, Part, Recorded,
    combine::Combined,
    cover, extension,
    joined::Joined,
    judge::{folded_of, pprof_of},
};
use crate::answer::{Thresholds, merge};

/// Of 255 bytes of a file's name: what namespace, name and number leave for the pod's name, which may have 253.
const POD_PART: usize = 60;

/// Parts as they come. Of one part alone its files are the investigation's; with several there is a cover besides.
#[derive(Debug)]
pub(crate) struct Gathering {
    /// `namespace-name`.
    stem: String,
    /// What a person calls it.
    title: String,
    formats: Vec<ReportFormat>,
    thresholds: Thresholds,
    /// How many parts there will be.
    expected: usize,
    recorded: Vec<Recorded>,
    rows: Vec<cover::Row>,
    analyses: Joined,
    combined: Combined,
}

/// What came out of the parts.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) files: Vec<File>,
    pub(crate) recorded: Vec<Recorded>,
}

impl Gathering {
    /// Of `expected` recordings of the investigation `name` in `namespace`.
    pub(crate) fn new(
        namespace: &str,
        name: &str,
        formats: &[ReportFormat],
        thresholds: Thresholds,
        expected: usize,
    ) -> Self {
        Self {
            stem: format!("{namespace}-{name}"),
            title: format!("{namespace}/{name}"),
            formats: formats.to_vec(),
            thresholds,
            expected,
            recorded: Vec::new(),
            rows: Vec::new(),
            analyses: Joined::default(),
            combined: Combined::default(),
        }
    }

    /// Takes in a part, and gives its own files.
    pub(crate) fn add(&mut self, part: Part) -> Result<Vec<File>, JudgeError> {
        let wanted = |format| self.formats.contains(&format);
        let mut files = Vec::new();
        if self.expected == 1 {
            for format in &self.formats {
                files.push(part.file(*format, &self.stem)?);
            }
        } else {
            let number = self.recorded.len() + 1;
            let pod: String = part.origin.pod.chars().take(POD_PART).collect();
            let stem = format!("{}-{number}-{pod}", self.stem);
            if wanted(ReportFormat::Html) {
                files.push(File { format: None, ..part.file(ReportFormat::Html, &stem)? });
            }
            if wanted(ReportFormat::Json) {
                self.analyses.add(&part)?;
            }
            if wanted(ReportFormat::Pprof) || wanted(ReportFormat::Folded) {
                self.combined.add(&part.origin.pod, &part.recording);
            }
            self.rows.push(cover::Row {
                pod: part.origin.pod.clone(),
                container: part.origin.container.clone(),
                file: files.first().map(|file| file.name.clone()),
                answer: part.answer.clone(),
            });
        }
        self.recorded.push(Recorded { probe: part.origin.probe, answer: part.answer });
        Ok(files)
    }

    /// The files about all parts.
    pub(crate) fn finish(mut self) -> Result<Gathered, JudgeError> {
        let mut files = Vec::new();
        if self.expected > 1 && !self.rows.is_empty() {
            let profile = self.combined.finish();
            for format in self.formats {
                let content = match (format, &profile) {
                    (ReportFormat::Html, _) => {
                        let answers: Vec<_> =
                            self.rows.iter().map(|row| (row.pod.as_str(), &row.answer)).collect();
                        let merged = merge(&answers, self.thresholds);
                        cover::page(&self.title, &self.rows, merged.as_ref()).into_bytes()
                    }
                    (ReportFormat::Json, _) => std::mem::take(&mut self.analyses).finish(),
                    (ReportFormat::Pprof, Some(profile)) => pprof_of(profile)?,
                    (ReportFormat::Folded, Some(profile)) => folded_of(profile)?,
                    (ReportFormat::Pprof | ReportFormat::Folded, None) => continue,
                };
                let name = format!("{}.{}", self.stem, extension(format));
                files.push(File { format: Some(format), name, content });
            }
        }
        Ok(Gathered { files, recorded: self.recorded })
    }
}
