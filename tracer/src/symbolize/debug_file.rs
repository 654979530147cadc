//! Finds the separate debug file of a stripped program.
//!
//! The places are GDB's (<https://sourceware.org/gdb/current/onlinedocs/gdb.html/Separate-Debug-Files.html>), the target's own root
//! first: a container brings its own. What is found counts only if its build id, or for a debug link its checksum, is right.

mod places;

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use object::{Object, elf::FileHeader64, endian::Endianness, read::elf::ElfFile};
use rustix::fs::OFlags;

use super::sections::has_debug_info;
use crate::{
    image::{Image, open_in_root},
    process::ProcessId,
};
pub(super) use places::without_steps;
use places::{Candidate, file_name};

/// Largest file whose checksum is computed: 1 GiB takes about a second.
const MOST_BYTES: u64 = 1 << 30;

/// A program's separate debug file.
#[derive(Debug)]
pub struct DebugFile {
    /// The file: symbol table and debug information.
    pub image: Image,
    /// What it shares with other debug files of its package (dwz moves that to a file of its own).
    pub supplementary: Option<Image>,
}

/// What a program says about where its debug information is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Link {
    build_id: Option<String>,
    /// File name and CRC-32.
    debug_link: Option<(String, u32)>,
}

/// A tree of files to look in.
#[derive(Debug, Clone, Copy)]
enum Root<'a> {
    /// Everything that a process sees.
    OfProcess(u32),
    /// One folder of our own machine: its layout is that of `/usr/lib/debug`.
    Folder(&'a Path),
}

/// Opens the debug file of an image of this process, or else from our own machine's folders. To be called while the process
/// lives; what it returns stays usable.
///
/// `None` also for a program that carries its debug information itself.
pub fn find(image: &Image, process: Option<ProcessId>, folders: &[PathBuf]) -> Option<DebugFile> {
    let link = read_link(image)?;
    let directory = Path::new(&image.path).parent().unwrap_or_else(|| Path::new("/"));
    let inside = process.map(|process| Root::OfProcess(process.pid));
    inside.into_iter().chain(folders.iter().map(|folder| Root::Folder(folder))).find_map(|root| {
        root.candidates(&link, directory).into_iter().find_map(|candidate| {
            let image = root.open(&candidate.path)?;
            is_right(&image, candidate.by_link, &link).then(|| {
                let supplementary = find_supplementary(&image, root, &candidate.path);
                DebugFile { image, supplementary }
            })
        })
    })
}

impl Root<'_> {
    fn debug_folder(&self) -> &Path {
        match self {
            Self::OfProcess(_) => Path::new("/usr/lib/debug"),
            Self::Folder(folder) => folder,
        }
    }

    fn candidates(&self, link: &Link, directory: &Path) -> Vec<Candidate> {
        let mut all = places::of_debug_file(
            link.build_id.as_deref(),
            link.debug_link.as_ref().map(|(name, _)| name.as_str()),
            directory,
            self.debug_folder(),
        );
        if let Self::Folder(folder) = self {
            // the target's own folders are no business of ours outside its root
            all.retain(|candidate| candidate.path.starts_with(folder));
        }
        all
    }

    /// An ELF file of 64 bits, or nothing.
    fn open(&self, path: &Path) -> Option<Image> {
        let file = match self {
            Self::OfProcess(pid) => open_in_root(*pid, path),
            Self::Folder(_) => {
                let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
                File::options().read(true).custom_flags(flags).open(path)
            }
        };
        let regular = file.ok().filter(|file| file.metadata().is_ok_and(|metadata| metadata.is_file()))?;
        Image::from_file(&path.display().to_string(), regular).ok()
    }
}

/// `None` for a program that needs no other file, or names none.
fn read_link(image: &Image) -> Option<Link> {
    let cache = image.data();
    let elf = ElfFile::<FileHeader64<Endianness>, _>::parse(&cache).ok()?;
    if has_debug_info(&elf) {
        return None;
    }
    let debug_link =
        elf.gnu_debuglink().ok().flatten().and_then(|(name, crc)| Some((file_name(name)?.to_owned(), crc)));
    let build_id = image.build_id.clone().filter(|id| id.len() > 2);
    (debug_link.is_some() || build_id.is_some()).then_some(Link { build_id, debug_link })
}

/// The build id decides where both files have one; else the checksum does, of a file that was named.
fn is_right(debug: &Image, by_link: bool, link: &Link) -> bool {
    if let (Some(wanted), Some(found)) = (&link.build_id, &debug.build_id) {
        return wanted == found;
    }
    let expected = link.debug_link.as_ref().filter(|_| by_link).map(|(_, checksum)| *checksum);
    expected.is_some() && debug.file().and_then(|file| checksum(file).ok()?) == expected
}

/// CRC-32 as in zlib, over the whole file; `None` if it is too large.
fn checksum(file: &File) -> io::Result<Option<u32>> {
    if file.metadata()?.len() > MOST_BYTES {
        return Ok(None);
    }
    let mut hasher = crc32fast::Hasher::new();
    let mut rest = file.take(MOST_BYTES);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(Some(hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

fn find_supplementary(debug: &Image, root: Root<'_>, beside: &Path) -> Option<Image> {
    let cache = debug.data();
    let elf = ElfFile::<FileHeader64<Endianness>, _>::parse(&cache).ok()?;
    let (path, build_id) = elf.gnu_debugaltlink().ok().flatten()?;
    let build_id = crate::image::hex(build_id);
    let path = Path::new(std::str::from_utf8(path).ok()?);
    places::of_supplementary(&build_id, path, beside, root.debug_folder())
        .into_iter()
        .find_map(|path| root.open(&path).filter(|image| image.build_id.as_deref() == Some(&build_id)))
}
