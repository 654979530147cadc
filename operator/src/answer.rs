//! What is known about leaks, of one container and of all of them: from digests while probes are on, from recordings at the end.
//!
//! Pure. Status and report say the same because both come from here.

mod cut;
mod merge;

use leakhound_crds::{Digest, Finding, Frame, Verdict};
use leakhound_report::analysis::{self, Analysis};
use serde::{Deserialize, Serialize};

pub(crate) use cut::{cut, growth_text};
pub(crate) use merge::{Merged, Thresholds, merge, strongest};

/// Most findings and frames that a status may hold.
pub(crate) const MOST_FINDINGS: usize = 20;
pub(crate) const MOST_FRAMES: usize = 24;
/// Longest text of a frame, in characters.
const FRAME_TEXT: usize = 200;

/// What is known of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    pub(crate) confidence_percent: i32,
    /// Why, in whole sentences; a digest has none.
    #[serde(default)]
    pub(crate) reasons: Vec<String>,
    pub(crate) outstanding_bytes: i64,
    pub(crate) growth_bytes_per_hour: i64,
    /// Stacks that grow, the most important first.
    pub(crate) findings: Vec<Finding>,
    /// Stacks that grow and are left out here.
    pub(crate) findings_omitted: i32,
}

impl From<&Digest> for Answer {
    fn from(digest: &Digest) -> Self {
        let grows = |finding: &Finding| matches!(finding.class.as_str(), "Leak" | "Suspected");
        Self {
            verdict: digest.verdict,
            confidence_percent: digest.confidence_percent.clamp(0, 100),
            reasons: Vec::new(),
            outstanding_bytes: digest.live_bytes,
            growth_bytes_per_hour: digest.growth_bytes_per_hour,
            findings: digest.findings.iter().filter(|finding| grows(finding)).map(bounded).collect(),
            findings_omitted: digest.findings_omitted.max(0),
        }
    }
}

impl From<&Analysis> for Answer {
    fn from(analysis: &Analysis) -> Self {
        let growing: Vec<&analysis::Finding> =
            analysis.findings.iter().filter(|finding| finding.class.is_alarm()).collect();
        let confidence = analysis.verdict.confidence_percent;
        let slopes: f64 = growing.iter().map(|finding| finding.growth_bytes_per_hour).sum();
        Self {
            verdict: analysis.verdict.name.into(),
            confidence_percent: i32::from(confidence),
            reasons: analysis.verdict.reasons.clone(),
            outstanding_bytes: signed(analysis.totals.live_bytes),
            growth_bytes_per_hour: whole(if growing.is_empty() { drift(analysis) } else { slopes }),
            findings: growing.iter().take(MOST_FINDINGS).map(|found| finding(found, confidence)).collect(),
            findings_omitted: count(growing.len().saturating_sub(MOST_FINDINGS)),
        }
    }
}

/// What the live bytes gained from the first snapshot to the last, per hour.
fn drift(analysis: &Analysis) -> f64 {
    let (Some(first), Some(last)) = (analysis.timeline.first(), analysis.timeline.last()) else { return 0.0 };
    let hours = (last.at_seconds - first.at_seconds) / 3600.0;
    if hours > 0.0 { (last.live_bytes as f64 - first.live_bytes as f64) / hours } else { 0.0 }
}

fn finding(found: &analysis::Finding, confidence: u8) -> Finding {
    let oldest = found
        .blocks
        .iter()
        .map(|block| block.age_seconds)
        .fold(None, |oldest: Option<f64>, age| Some(oldest.map_or(age, |oldest| oldest.max(age))));
    let frames: Vec<Frame> = found.frames.iter().map(frame).collect();
    bounded(&Finding {
        rank: count(found.rank),
        pod_name: None,
        class: format!("{:?}", found.class),
        confidence_percent: sureness(found, confidence),
        outstanding_bytes: signed(found.live_bytes),
        outstanding_count: signed(found.live_count),
        growth_bytes_per_hour: whole(found.growth_bytes_per_hour),
        oldest_age_seconds: oldest.map(whole),
        stack_id: found.stack_key().id(),
        frames,
        frames_omitted: 0,
    })
}

/// Never surer of one stack than of the whole, and no surer than its blocks are old: of a leak all of them stay.
fn sureness(found: &analysis::Finding, confidence: u8) -> i32 {
    let evidence = found.evidence.cohort_survival.unwrap_or(found.evidence.growing_share).clamp(0.0, 1.0);
    i32::try_from(whole(f64::from(confidence) * evidence)).unwrap_or_default()
}

fn frame(frame: &analysis::Frame) -> Frame {
    Frame {
        function: frame.function.to_string(),
        module: frame.module.rsplit('/').next().unwrap_or_default().to_owned(),
        file: frame.file.as_deref().unwrap_or_default().to_owned(),
        line: frame.line.and_then(|line| i32::try_from(line).ok()),
    }
}

/// A finding within the limits of a status. An agent's digest is checked by its size alone.
fn bounded(finding: &Finding) -> Finding {
    let mut finding = finding.clone();
    let surplus = finding.frames.len().saturating_sub(MOST_FRAMES);
    finding.frames.truncate(MOST_FRAMES);
    finding.frames_omitted = finding.frames_omitted.max(0).saturating_add(count(surplus));
    for frame in &mut finding.frames {
        for text in [&mut frame.function, &mut frame.module, &mut frame.file] {
            *text = cut(text, FRAME_TEXT);
        }
    }
    finding.class = cut(&finding.class, 32);
    finding.stack_id = cut(&finding.stack_id, 64);
    finding.pod_name = None;
    finding.confidence_percent = finding.confidence_percent.clamp(0, 100);
    finding
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn count(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

#[allow(clippy::cast_possible_truncation, reason = "a float cast saturates, and NaN becomes 0")]
fn whole(value: f64) -> i64 {
    value.round() as i64
}

#[cfg(test)]
mod tests;
