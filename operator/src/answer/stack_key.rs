//! By what a stack is known again in another replica: modules and functions, whatever their addresses, lines and folders.

use leakhound_crds::Frame;
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// Modules and functions, innermost first, without what called `main`.
pub(super) fn key(frames: &[Frame]) -> Vec<(String, String)> {
    let end = frames.iter().rposition(|frame| frame.function == "main").map_or(frames.len(), |main| main + 1);
    frames[..end].iter().map(|frame| (module(&frame.module).to_owned(), frame.function.clone())).collect()
}

/// The key as 16 hex digits.
pub(super) fn id(frames: &[Frame]) -> String {
    let mut hash = Sha256::new();
    for (module, function) in key(frames) {
        for part in [module, function] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
    }
    hex(&hash.finalize()[..8])
}

/// `libssl` of `libssl.so.3`: replicas may run two versions of an image for a while.
fn module(file: &str) -> &str {
    file.split_once(".so").map_or(file, |(stem, _)| stem)
}
