//! A file of the target, opened once: the one descriptor serves parsing, attaching and symbolizing, also after the
//! target has ended.
//!
//! Caveat: nothing of the target's is ever mapped into our memory here, since it could be cut short under us (SIGBUS);
//! reads fail instead.

mod data;
mod open;

use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use object::{
    Object, ObjectSegment, SegmentFlags,
    elf::{FileHeader64, PF_X},
    endian::Endianness,
    read::elf::ElfFile,
};
use thiserror::Error;

use crate::{
    maps::{MapPath, Mapping},
    process::ProcessId,
};

use data::Content;
pub use data::Data;
pub(crate) use open::open_in_root;

/// A file of the target could not be used.
#[derive(Debug, Error)]
pub enum ImageError {
    /// Not a file: nothing to open.
    #[error("{0} is not a file")]
    NotAFile(String),
    /// Opening failed on every way.
    #[error("cannot open {path} of process {pid}")]
    Open {
        /// As the target sees it.
        path: String,
        /// The process.
        pid: u32,
        /// Of the last way tried.
        source: io::Error,
    },
    /// The path leads to another file than the one mapped.
    #[error(
        "{path} of process {pid} was removed or replaced since it was mapped: with CAP_CHECKPOINT_RESTORE it could still be read"
    )]
    Replaced {
        /// As the target sees it.
        path: String,
        /// The process.
        pid: u32,
    },
    /// Not an ELF file, or a damaged one.
    #[error("{path} is not a readable ELF file")]
    Elf {
        /// As the target sees it.
        path: String,
        /// The parser's error.
        source: object::Error,
    },
}

/// A file of the target, or the vDSO.
#[derive(Debug)]
pub struct Image {
    /// As the target sees it.
    pub path: String,
    /// GNU build id in lower-case hex.
    pub build_id: Option<String>,
    /// What proves that it is the file that the target has mapped.
    pub identity: Identity,
    content: Content,
    segments: Vec<Segment>,
}

/// What proves that an opened file is the one that the target has mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Device and inode are those of the mapping.
    Exact,
    /// The inode is, and the path; the file system names its device in two ways, so that the device tells nothing.
    Inode,
}

/// A loadable part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    address: u64,
    offset: u64,
    size: u64,
    executable: bool,
}

impl Image {
    /// Opens the file of a mapping.
    pub fn open(process: ProcessId, mapping: &Mapping) -> Result<Self, ImageError> {
        let pid = process.pid;
        match &mapping.path {
            MapPath::File { path, deleted } => {
                let in_target = open::as_target_sees(pid, path);
                let (file, identity) = open::open_mapped(process, mapping, path, &in_target, *deleted)?;
                Self::parse(in_target.display().to_string(), Content::File(file), identity)
            }
            MapPath::Vdso => {
                let name = mapping.path.to_string();
                let bytes = open::read_memory(process, mapping).map_err(|source| ImageError::Open {
                    path: name.clone(),
                    pid,
                    source,
                })?;
                Self::parse(name, Content::Bytes(bytes), Identity::Exact)
            }
            MapPath::Anonymous | MapPath::Special(_) => Err(ImageError::NotAFile(mapping.path.to_string())),
        }
    }

    /// Opens a file by its path, for programs of our own.
    pub fn open_path(path: &Path) -> Result<Self, ImageError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|source| ImageError::Open {
            path: name.clone(),
            pid: std::process::id(),
            source,
        })?;
        Self::parse(name, Content::File(file), Identity::Exact)
    }

    /// Takes a file that is open already, under a name for messages.
    pub fn from_file(name: &str, file: File) -> Result<Self, ImageError> {
        Self::parse(name.to_owned(), Content::File(file), Identity::Exact)
    }

    fn parse(path: String, content: Content, identity: Identity) -> Result<Self, ImageError> {
        /// Linkers make about ten, and tools that reorder code a few more.
        const MOST_SEGMENTS: usize = 4096;
        let data = Data::new(&content);
        let elf = match ElfFile::<FileHeader64<Endianness>, _>::parse(&data) {
            Ok(elf) => elf,
            Err(source) => return Err(ImageError::Elf { path, source }),
        };
        let build_id = elf.build_id().ok().flatten().map(hex);
        let segments = elf.segments().take(MOST_SEGMENTS).map(|segment| {
            let (offset, size) = segment.file_range();
            let executable =
                matches!(segment.flags(), SegmentFlags::Elf { p_flags, .. } if p_flags.0 & PF_X.0 != 0);
            Segment { address: segment.address(), offset, size, executable }
        });
        let segments = segments.collect();
        Ok(Self { path, build_id, identity, content, segments })
    }

    /// Its bytes, read as they are asked for.
    pub fn data(&self) -> Data<'_> {
        Data::new(&self.content)
    }

    /// A path by which the kernel and other libraries reach the opened file; `None` for the vDSO.
    pub fn fd_path(&self) -> Option<PathBuf> {
        self.file().map(|file| PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))
    }

    /// The opened file; `None` for the vDSO.
    pub fn file(&self) -> Option<&File> {
        match &self.content {
            Content::File(file) => Some(file),
            Content::Bytes(_) => None,
        }
    }

    /// Run-time address minus the file's own virtual address, for one of its mappings. A mapping that no executable segment
    /// explains is taken as if addresses were offsets, which holds for flat files.
    pub fn bias(&self, mapping: &Mapping) -> u64 {
        bias(&self.segments, mapping, procfs::page_size())
    }
}

/// The kernel maps whole pages: from the page that a segment's first byte is in to the one of its last. Two executable
/// segments may share a page of the file, so the one whose first page is the mapping's counts most.
fn bias(segments: &[Segment], mapping: &Mapping, page: u64) -> u64 {
    let first = |segment: &Segment| segment.offset - segment.offset % page;
    let covers = |segment: &Segment| {
        let end = segment.offset.saturating_add(segment.size);
        (first(segment)..end).contains(&mapping.file_offset)
    };
    let executable = || segments.iter().filter(|segment| segment.executable);
    let start_of_file = mapping.start.wrapping_sub(mapping.file_offset);
    executable()
        .find(|segment| first(segment) == mapping.file_offset)
        .or_else(|| executable().find(|segment| covers(segment)))
        .map_or(start_of_file, |segment| {
            start_of_file.wrapping_add(segment.offset).wrapping_sub(segment.address)
        })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().take(64).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
