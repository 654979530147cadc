//! Addresses in a file to function, source line and inlined calls.
//!
//! Works on files opened earlier, so also after the target has ended. Separate debug files are looked for by
//! [`debug_file`]; which frames belong to the allocator rather than the program is decided in [`plumbing`].
//!
//! ```text
//! image, debug file -> sections (bounded) -> DWARF: function, line, inlined calls --+--> frames
//!                                         -> symbol tables: function ---------------+
//! ```
//!
//! Every file is hostile: sizes are bounded, no path found inside one is followed here, and damage costs that file its names,
//! not the run. Caveat: functions that claim the same long lists of address ranges over and over can still cost memory.

mod bytes;
pub mod debug_file;
pub use leakhound_report::plumbing;
mod program;
mod sections;
mod symbol_table;

use std::{
    collections::{HashMap, HashSet},
    os::unix::fs::MetadataExt,
};

use leakhound_report::recording::Frame;
use tracing::debug;

use crate::{causes::with_causes, image::Image};
use bytes::Allowance;
use debug_file::DebugFile;
use program::Program;

/// What could and could not be named: part of the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SymbolStats {
    /// Addresses with a function name.
    pub named: u64,
    /// Of those, with a source line.
    pub with_line: u64,
    /// Addresses left as offset in their file.
    pub unnamed: u64,
    /// Files without any symbol.
    pub files_without_symbols: u64,
    /// Files whose debug information or symbols are damaged, or too large.
    pub files_damaged: u64,
}

/// Turns addresses into frames.
#[derive(Debug, Default)]
pub struct Symbolizer {
    programs: HashMap<FileId, Program>,
    damaged: HashSet<FileId>,
    allowance: Allowance,
    /// What became of the addresses so far.
    pub stats: SymbolStats,
}

/// What tells files apart, and a file from its changed self.
type FileId = (u64, u64, u64, i64, i64);

impl Symbolizer {
    /// The frames at virtual addresses of a file, innermost first: inlined calls precede the function that contains them.
    /// An address that nothing is known about has no frames. `debug` is the file's separate debug file, if there is one.
    ///
    /// A return address must come less one: it points behind the call, often already to the next line.
    pub fn frames(&mut self, image: &Image, debug: Option<&DebugFile>, addresses: &[u64]) -> Vec<Vec<Frame>> {
        let Some(id) = file_id(image) else {
            self.stats.unnamed += addresses.len() as u64;
            return vec![Vec::new(); addresses.len()];
        };
        let program = self.programs.entry(id).or_insert_with(|| {
            let (program, errors) = Program::load(image, debug, &mut self.allowance);
            for error in &errors {
                debug!(path = image.path, error = with_causes(error), "a file is symbolized in part");
            }
            if !errors.is_empty() && self.damaged.insert(id) {
                self.stats.files_damaged += 1;
            }
            self.stats.files_without_symbols += u64::from(program.is_empty());
            program
        });
        let frames: Vec<Vec<Frame>> = addresses
            .iter()
            .map(|address| {
                let (frames, error) = program.frames(*address);
                if let Some(error) = error {
                    debug!(path = image.path, address, %error, "an address is symbolized in part");
                    self.stats.files_damaged += u64::from(self.damaged.insert(id));
                }
                frames
            })
            .collect();
        for frames in &frames {
            let named = frames.iter().any(|frame| frame.function.is_some());
            self.stats.named += u64::from(named);
            self.stats.unnamed += u64::from(!named);
            self.stats.with_line += u64::from(named && frames.iter().any(|frame| frame.line.is_some()));
        }
        frames
    }
}

/// `None` for the vDSO, which is no file.
fn file_id(image: &Image) -> Option<FileId> {
    let metadata = image.file()?.metadata().ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

#[cfg(test)]
mod tests;
