//! Whatever a log holds, it is read and judged, or refused: no panic.
#![no_main]

use leakhound_report::{Options, analyze, html, memleak};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(recording) = memleak::read_log(data) else { return };
    let analysis = analyze(&recording, &Options::default());
    assert!(analysis.verdict.confidence_percent <= 100);
    assert!(html::render(&recording, &analysis).is_ok());
});
