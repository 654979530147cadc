//! Addresses in a file to function, source line and inlined calls.
//!
//! Works on files opened earlier, so also after the target has ended. Separate debug files are looked for by
//! [`debug_file`]; which frames belong to the allocator rather than the program is decided in [`plumbing`].
//!
//! Caveat: the symbolizer library maps files into memory. A target that cuts one of its own files short while we read it
//! can end us with SIGBUS; the probes then come off with the process that held them.

pub mod debug_file;
pub use leakhound_report::plumbing;

use std::{
    ffi::OsStr,
    fs::File,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use blazesym::symbolize::{
    CodeInfo, Input, Sym, Symbolizer as Library,
    source::{Elf, Source},
};
use leakhound_report::recording::Frame;
use tracing::debug;

use crate::image::Image;

/// What could and could not be named: part of the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SymbolStats {
    /// Addresses with a function name.
    pub named: u64,
    /// Of those, with a source line.
    pub with_line: u64,
    /// Addresses left as offset in their file.
    pub unnamed: u64,
}

/// Turns addresses into frames.
pub struct Symbolizer {
    library: Library,
    /// What became of the addresses so far.
    pub stats: SymbolStats,
}

impl Default for Symbolizer {
    fn default() -> Self {
        // our own search for debug files looks into the target's root first, and checks what it finds
        let no_debug_dirs: [&Path; 0] = [];
        let library = Library::builder()
            .enable_code_info(true)
            .enable_inlined_fns(true)
            .enable_demangling(true)
            .set_debug_dirs(Some(no_debug_dirs))
            .build();
        Self { library, stats: SymbolStats::default() }
    }
}

impl Symbolizer {
    /// The frames at virtual addresses of a file, innermost first: inlined calls precede the function that contains them.
    /// An address that nothing is known about has no frames. `debug` is the file's separate debug file, if there is one.
    pub fn frames(&mut self, image: &Image, debug: Option<&File>, addresses: &[u64]) -> Vec<Vec<Frame>> {
        let mut frames = vec![Vec::new(); addresses.len()];
        let files = [debug, image.file()];
        for file in files.into_iter().flatten() {
            let open: Vec<usize> = (0..addresses.len()).filter(|index| frames[*index].is_empty()).collect();
            if open.is_empty() {
                break;
            }
            let wanted: Vec<u64> = open.iter().map(|index| addresses[*index]).collect();
            for (index, named) in open.into_iter().zip(self.name(file, &wanted, &image.path)) {
                frames[index] = named;
            }
        }
        for frames in &frames {
            match frames.first() {
                Some(first) => {
                    self.stats.named += 1;
                    self.stats.with_line += u64::from(first.line.is_some());
                }
                None => self.stats.unnamed += 1,
            }
        }
        frames
    }

    fn name(&self, file: &File, addresses: &[u64], path: &str) -> Vec<Vec<Frame>> {
        let source = Source::Elf(Elf::new(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))));
        match self.library.symbolize(&source, Input::VirtOffset(addresses)) {
            Ok(found) => found.iter().map(|one| one.as_sym().map_or(Vec::new(), symbol_frames)).collect(),
            Err(error) => {
                debug!(path, %error, "cannot symbolize");
                vec![Vec::new(); addresses.len()]
            }
        }
    }
}

fn symbol_frames(symbol: &Sym<'_>) -> Vec<Frame> {
    let inlined = symbol.inlined.iter().rev().map(|call| frame(&call.name, call.code_info.as_ref(), true));
    inlined.chain([frame(&symbol.name, symbol.code_info.as_deref(), false)]).collect()
}

fn frame(name: &str, code: Option<&CodeInfo<'_>>, inlined: bool) -> Frame {
    let file = code.map(|code| normalize(code.dir.as_deref(), &code.file)).filter(|file| !file.is_empty());
    let line = code.and_then(|code| code.line).filter(|line| *line > 0);
    Frame { function: Some(without_hash(name).to_owned()), file, line, inlined, ..Frame::default() }
}

/// Rust's old symbol mangling ends every name in `::h` and 16 hexadecimal digits, which tells a person nothing.
fn without_hash(name: &str) -> &str {
    const HASH: usize = 16;
    match name.rsplit_once("::h") {
        Some((before, hash)) if hash.len() == HASH && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            before
        }
        _ => name,
    }
}

/// Folder and file as one path, without `.` and `..` steps.
fn normalize(folder: Option<&Path>, file: &OsStr) -> String {
    use std::path::Component;
    let whole = folder.map_or_else(|| PathBuf::from(file), |folder| folder.join(file));
    let mut parts = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(parts.components().next_back(), Some(Component::Normal(_))) => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
