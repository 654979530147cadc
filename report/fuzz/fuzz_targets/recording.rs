//! Whatever a file holds, it is read, judged and rendered, or refused: no panic, and no more memory than allowed.
#![no_main]

use leakhound_report::{
    Options, analyze, html,
    recording::{Limits, read_within},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits { line_bytes: 1 << 20, recording_bytes: 16 << 20 };
    let Ok(recording) = read_within(data, limits) else { return };
    let analysis = analyze(&recording, &Options { all_frames: data.len() % 2 == 0, top: None });
    assert!(analysis.verdict.confidence_percent <= 100);
    assert!(serde_json::to_string(&analysis).is_ok());
    assert!(html::render(&recording, &analysis).is_ok());
});
