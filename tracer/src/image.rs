//! A file of the target, opened once: the one descriptor serves parsing, attaching and symbolizing, also after the
//! target has ended.
//!
//! Caveats: nothing of the target's is ever mapped into our memory here, since it could be cut short under us (SIGBUS);
//! reads fail instead. The path is resolved inside the target's root and the file compared with the kernel's own word in
//! `/proc/PID/maps`, so that a link cannot lead us to another file.

use std::{
    fs::File,
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use object::{
    Object, ObjectSegment, ReadCache, ReadCacheOps, ReadRef, SegmentFlags,
    elf::{FileHeader64, PF_X},
    endian::Endianness,
    read::elf::ElfFile,
};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use thiserror::Error;

use crate::{
    maps::{MapPath, Mapping},
    process::ProcessId,
};

/// A file of the target could not be used.
#[derive(Debug, Error)]
pub enum ImageError {
    /// Not a file: nothing to open.
    #[error("{0} is not a file")]
    NotAFile(String),
    /// Opening failed on every way.
    #[error("cannot open {path} of process {pid}: {source}")]
    Open {
        /// As the target sees it.
        path: String,
        /// The process.
        pid: u32,
        /// Of the last way tried.
        source: io::Error,
    },
    /// The path leads to another file than the one mapped.
    #[error("{path} of process {pid} was replaced since it was mapped")]
    Replaced {
        /// As the target sees it.
        path: String,
        /// The process.
        pid: u32,
    },
    /// Not an ELF file, or a damaged one.
    #[error("{path} is not a readable ELF file: {source}")]
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
    content: Content,
    segments: Vec<Segment>,
}

#[derive(Debug)]
enum Content {
    File(File),
    Bytes(Vec<u8>),
}

/// A loadable part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    address: u64,
    offset: u64,
    size: u64,
    executable: bool,
}

/// Reads at an offset, so that two readers of one descriptor do not disturb each other.
#[derive(Debug)]
pub struct Reader<'a> {
    content: &'a Content,
    position: u64,
}

impl ReadCacheOps for Reader<'_> {
    fn len(&mut self) -> Result<u64, ()> {
        match self.content {
            Content::File(file) => file.metadata().map(|metadata| metadata.len()).map_err(|_unreadable| ()),
            Content::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    fn seek(&mut self, position: u64) -> Result<u64, ()> {
        self.position = position;
        Ok(position)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ()> {
        let count = match self.content {
            Content::File(file) => file.read_at(buffer, self.position).map_err(|_unreadable| ())?,
            Content::Bytes(bytes) => {
                let rest =
                    usize::try_from(self.position).ok().and_then(|start| bytes.get(start..)).unwrap_or(&[]);
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                count
            }
        };
        self.position += count as u64;
        Ok(count)
    }

    fn read_exact(&mut self, mut buffer: &mut [u8]) -> Result<(), ()> {
        while !buffer.is_empty() {
            match self.read(buffer)? {
                0 => return Err(()),
                count => buffer = &mut buffer[count..],
            }
        }
        Ok(())
    }
}

impl Image {
    /// Opens the file of a mapping.
    pub fn open(process: ProcessId, mapping: &Mapping) -> Result<Self, ImageError> {
        let mut name = mapping.path.to_string();
        let content = match &mapping.path {
            MapPath::File { path, deleted } => {
                let path = as_target_sees(process.pid, path);
                name = path.display().to_string();
                Content::File(open_mapped(process, mapping, &path, *deleted)?)
            }
            MapPath::Vdso => Content::Bytes(read_memory(process, mapping)?),
            MapPath::Anonymous | MapPath::Special(_) => return Err(ImageError::NotAFile(name)),
        };
        Self::parse(name, content)
    }

    /// Opens a file by its path, for programs of our own.
    pub fn open_path(path: &Path) -> Result<Self, ImageError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|source| ImageError::Open {
            path: name.clone(),
            pid: std::process::id(),
            source,
        })?;
        Self::parse(name, Content::File(file))
    }

    /// Takes a file that is open already, under a name for messages.
    pub fn from_file(name: &str, file: File) -> Result<Self, ImageError> {
        Self::parse(name.to_owned(), Content::File(file))
    }

    fn parse(path: String, content: Content) -> Result<Self, ImageError> {
        let mut image = Self { path, build_id: None, content, segments: Vec::new() };
        let cache = image.data();
        let elf: ElfFile<'_, FileHeader64<Endianness>, _> =
            ElfFile::parse(&cache).map_err(|source| ImageError::Elf { path: image.path.clone(), source })?;
        let build_id = elf.build_id().ok().flatten().map(hex);
        let segments = elf
            .segments()
            .map(|segment| {
                let (offset, size) = segment.file_range();
                let executable =
                    matches!(segment.flags(), SegmentFlags::Elf { p_flags, .. } if p_flags.0 & PF_X.0 != 0);
                Segment { address: segment.address(), offset, size, executable }
            })
            .collect();
        drop(cache);
        image.build_id = build_id;
        image.segments = segments;
        Ok(image)
    }

    /// Its bytes, read as they are asked for.
    pub fn data(&self) -> ReadCache<Reader<'_>> {
        ReadCache::new(Reader { content: &self.content, position: 0 })
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

    /// Run-time address minus the file's own virtual address, for one of its mappings.
    pub fn bias(&self, mapping: &Mapping) -> u64 {
        const PAGE: u64 = 4096;
        let covers = |segment: &&Segment| {
            let first = segment.offset & !(PAGE - 1);
            let end = segment
                .offset
                .saturating_add(segment.size)
                .checked_next_multiple_of(PAGE)
                .unwrap_or(u64::MAX);
            segment.executable && (first..end).contains(&mapping.file_offset)
        };
        let start_of_file = mapping.start.wrapping_sub(mapping.file_offset);
        self.segments.iter().find(covers).map_or(start_of_file, |segment| {
            start_of_file.wrapping_add(segment.offset).wrapping_sub(segment.address)
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().take(64).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn open_mapped(
    process: ProcessId,
    mapping: &Mapping,
    path: &Path,
    deleted: bool,
) -> Result<File, ImageError> {
    let pid = process.pid;
    let name = || path.display().to_string();
    let by_path = if deleted { Err(io::ErrorKind::NotFound.into()) } else { open_in_root(pid, path) };
    let replaced = match by_path {
        Ok(file) if is_same(&file, mapping) => return Ok(file),
        Ok(_) => true,
        Err(_) => deleted,
    };
    // The program's own file can always be reached, even when it was removed; others need CAP_CHECKPOINT_RESTORE.
    for other in
        [format!("/proc/{pid}/exe"), format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end)]
    {
        match File::open(&other) {
            Ok(file) if is_same(&file, mapping) => return Ok(file),
            _ => {}
        }
    }
    match open_in_root(pid, path) {
        Err(source) if !replaced => Err(ImageError::Open { path: name(), pid, source }),
        _ => Err(ImageError::Replaced { path: name(), pid }),
    }
}

/// A process that was only chrooted shows paths from our own root in its maps.
fn as_target_sees(pid: u32, path: &Path) -> PathBuf {
    let root = std::fs::read_link(format!("/proc/{pid}/root")).unwrap_or_default();
    match path.strip_prefix(&root) {
        Ok(below) if root != Path::new("/") => Path::new("/").join(below),
        _ => path.to_owned(),
    }
}

/// A plain open of `/proc/PID/root/LINK` would follow an absolute link into our own root.
pub(crate) fn open_in_root(pid: u32, path: &Path) -> io::Result<File> {
    let root = openat(
        CWD,
        format!("/proc/{pid}/root"),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let relative = path.strip_prefix("/").unwrap_or(path);
    // non-blocking: a path may have become a pipe since
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file =
        openat2(root, relative, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)?;
    Ok(File::from(file))
}

/// The file mapped, by device and inode. Some file systems (btrfs, overlayfs on old kernels) report another device number
/// through stat than in maps: the inode then has to do.
fn is_same(file: &File, mapping: &Mapping) -> bool {
    file.metadata().is_ok_and(|metadata| {
        let device = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
        let anonymous_device = mapping.device.0 == 0 || device.0 == 0;
        metadata.is_file()
            && metadata.ino() == mapping.inode
            && (device == mapping.device || anonymous_device)
    })
}

fn read_memory(process: ProcessId, mapping: &Mapping) -> Result<Vec<u8>, ImageError> {
    const MOST: u64 = 1 << 20;
    let length = usize::try_from((mapping.end - mapping.start).min(MOST)).unwrap_or(0);
    let mut bytes = vec![0; length];
    File::open(format!("/proc/{}/mem", process.pid))
        .and_then(|memory| memory.read_exact_at(&mut bytes, mapping.start))
        .map_err(|source| ImageError::Open { path: mapping.path.to_string(), pid: process.pid, source })?;
    Ok(bytes)
}

/// A compile-time reminder that what [`Image::data`] gives can be parsed.
const _: fn(&ReadCache<Reader<'_>>) = |cache| {
    fn parsable<'a, R: ReadRef<'a>>(_: R) {}
    parsable(cache);
};
