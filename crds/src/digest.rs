//! What an agent says about its target while it watches: the partial verdict, as JSON text in the probe's status.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    finding::{Finding, Verdict},
    investigation::status::{Memory, Overhead, WatchedProcess},
};

/// Most findings in a digest; the recording has all of them.
pub const MAX_FINDINGS: usize = 5;
/// Largest text, in bytes. The schema counts characters, so this is never more than it admits.
pub const MAX_BYTES: usize = 32 * 1024;

/// The state of one watched container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// The verdict so far.
    pub verdict: Verdict,
    /// How sure that is, in percent.
    pub confidence_percent: i32,
    /// Bytes allocated since the probes went on and not freed.
    pub live_bytes: i64,
    /// Blocks allocated since the probes went on and not freed.
    pub live_count: i64,
    /// How fast the live bytes grow, per hour.
    pub growth_bytes_per_hour: i64,
    /// The most important stacks, at most five.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Stacks with a finding that is left out here.
    #[serde(default)]
    pub findings_omitted: i32,
    /// Events that were lost, by reason; reasons without a loss are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub losses: BTreeMap<String, i64>,
    /// Events seen: allocations and frees.
    #[serde(default)]
    pub events: i64,
    /// What watching costs.
    #[serde(default)]
    pub overhead: Overhead,
    /// How the probes are attached, such as `uprobe.session`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub attach_method: String,
    /// The processes that are watched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<WatchedProcess>,
    /// What the kernel accounts for.
    #[serde(default)]
    pub memory: Memory,
    /// Snapshots taken.
    #[serde(default)]
    pub snapshot_count: i32,
    /// Stretches of watching without a gap so far, of which this is about the longest: a restart of the agent begins another.
    #[serde(default = "one")]
    pub epochs: i32,
}

/// What an agent that does not count its stretches has watched.
fn one() -> i32 {
    1
}

/// Why a text is no digest.
#[derive(Debug, Error)]
#[error(
    "the agent's digest cannot be read: operator and agent must be of versions that fit, see their images' tags"
)]
pub struct DigestError(#[from] serde_json::Error);

impl Digest {
    /// Reads what [`Digest::to_text`] wrote; unknown fields are skipped.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        Ok(serde_json::from_str(text)?)
    }

    /// As JSON text of at most [`MAX_BYTES`]. Findings beyond five go first, then the outer halves of the longest stacks,
    /// then whole findings, processes and losses, the last half of each. Findings and frames that went are counted.
    pub fn to_text(&self) -> Result<String, DigestError> {
        let mut digest = self.clone();
        digest.keep_findings(MAX_FINDINGS);
        loop {
            let text = serde_json::to_string(&digest)?;
            if text.len() <= MAX_BYTES || !digest.shrink() {
                return Ok(text);
            }
        }
    }

    fn keep_findings(&mut self, wanted: usize) {
        let dropped = self.findings.len().saturating_sub(wanted);
        self.findings.truncate(wanted);
        self.findings_omitted += i32::try_from(dropped).unwrap_or(i32::MAX);
    }

    /// Takes away the least important part; false where nothing is left to take.
    fn shrink(&mut self) -> bool {
        let longest = self.findings.iter_mut().max_by_key(|finding| finding.frames.len());
        if let Some(finding) = longest
            && finding.frames.len() > 3
        {
            finding.keep_frames(finding.frames.len() / 2);
        } else if !self.findings.is_empty() {
            self.keep_findings(self.findings.len() / 2);
        } else if !self.processes.is_empty() {
            self.processes.truncate(self.processes.len() / 2);
        } else if !self.losses.is_empty() {
            let kept = self.losses.len() / 2;
            self.losses = std::mem::take(&mut self.losses).into_iter().take(kept).collect();
        } else {
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::finding::Frame;

    fn digest(findings: Vec<Finding>) -> Digest {
        Digest {
            verdict: Verdict::LeakLikely,
            confidence_percent: 90,
            live_bytes: 1,
            live_count: 1,
            growth_bytes_per_hour: 1,
            findings,
            findings_omitted: 0,
            losses: BTreeMap::from([("collided".to_owned(), 3)]),
            events: 7,
            overhead: Overhead::default(),
            attach_method: "uprobe.session".to_owned(),
            processes: Vec::new(),
            memory: Memory::default(),
            snapshot_count: 3,
            epochs: 1,
        }
    }

    fn finding(frames: usize, name: &str) -> Finding {
        let frame = Frame { function: name.to_owned(), module: name.to_owned(), ..Frame::default() };
        Finding { rank: 1, class: "Leak".to_owned(), frames: vec![frame; frames], ..Finding::default() }
    }

    #[test]
    fn small_ones_are_whole() {
        let small = digest(vec![finding(4, "main"); 5]);
        assert_eq!(Digest::parse(&small.to_text().unwrap()).unwrap(), small);
    }

    #[test]
    fn what_is_cut_is_counted() {
        let cut = Digest::parse(&digest(vec![finding(24, &"ü".repeat(200)); 7]).to_text().unwrap()).unwrap();
        assert_eq!(cut.findings.len() + usize::try_from(cut.findings_omitted).unwrap(), 7);
        for finding in &cut.findings {
            assert_eq!(finding.frames.len() + usize::try_from(finding.frames_omitted).unwrap(), 24);
        }
        assert!(!cut.findings.is_empty(), "frames go before findings");
    }

    #[test]
    fn fields_of_a_newer_agent_are_skipped() {
        let text = digest(Vec::new()).to_text().unwrap().replacen('{', "{\"later\":1,", 1);
        assert!(Digest::parse(&text).is_ok());
        assert!(Digest::parse("{}").is_err());
    }

    proptest! {
        #[test]
        fn never_larger_than_the_schema_admits(
            findings in prop::collection::vec((0..40_usize, "\\PC{0,300}"), 0..12),
            losses in 0..2000_usize,
        ) {
            let mut digest = digest(findings.iter().map(|(frames, name)| finding(*frames, name)).collect());
            digest.losses = (0..losses).map(|n| (format!("reason {n:040}"), 1)).collect();
            let text = digest.to_text().unwrap();
            prop_assert!(text.len() <= MAX_BYTES);
            prop_assert!(Digest::parse(&text).is_ok());
        }
    }
}
