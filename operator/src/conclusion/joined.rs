//! The JSON about several recordings.

use leakhound_report::analysis::Analysis;
use serde::Serialize;

use super::Part;

/// The value of `format`.
const FORMAT: &str = "leakhound-investigation/1";

/// Analyses behind each other, each written down as it comes: as values in memory they would take several times as much.
#[derive(Debug)]
pub(super) struct Joined {
    text: Vec<u8>,
    is_empty: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    analysis: &'a Analysis,
    container: &'a str,
    pod_name: &'a str,
}

impl Default for Joined {
    fn default() -> Self {
        Self { text: format!("{{\"format\":\"{FORMAT}\",\"parts\":[").into_bytes(), is_empty: true }
    }
}

impl Joined {
    /// Adds what `part` says; after an error all is as it was.
    pub(super) fn add(&mut self, part: &Part) -> Result<(), serde_json::Error> {
        let whole = self.text.len();
        if !self.is_empty {
            self.text.push(b',');
        }
        let entry =
            Entry { analysis: &part.analysis, container: &part.origin.container, pod_name: &part.origin.pod };
        serde_json::to_writer(&mut self.text, &entry).inspect_err(|_| self.text.truncate(whole))?;
        self.is_empty = false;
        Ok(())
    }

    /// The whole of it.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.text.extend_from_slice(b"]}");
        self.text
    }
}
