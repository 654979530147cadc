//! Finds the separate debug file of a stripped program.
//!
//! The places are GDB's (<https://sourceware.org/gdb/current/onlinedocs/gdb.html/Separate-Debug-Files.html>), the target's own root
//! first: a container brings its own. What is found counts only if its build id, or for a debug link its checksum, is right.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use object::{Object, elf::FileHeader64, endian::Endianness, read::elf::ElfFile};

use crate::{
    image::{Image, open_in_root},
    process::ProcessId,
};

/// Largest file whose checksum is computed: 1 GiB takes about a second.
const MOST_BYTES: u64 = 1 << 30;

/// What a program says about where its debug information is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Link {
    build_id: Option<String>,
    /// File name and CRC-32.
    debug_link: Option<(String, u32)>,
}

/// Opens the debug file of an image of this process, or of our own machine's folders.
pub fn find(image: &Image, process: Option<ProcessId>, folders: &[PathBuf]) -> Option<File> {
    let link = read_link(image);
    let directory = Path::new(&image.path).parent().unwrap_or_else(|| Path::new("/"));
    let inside = process.into_iter().flat_map(|process| {
        candidates(&link, directory, Path::new("/usr/lib/debug"))
            .into_iter()
            .map(move |candidate| (candidate.kind, open_in_root(process.pid, &candidate.path)))
    });
    let outside = folders.iter().flat_map(|folder| {
        let ours =
            candidates(&link, directory, folder).into_iter().filter(move |one| one.path.starts_with(folder));
        ours.map(|candidate| (candidate.kind, File::open(&candidate.path)))
    });
    inside.chain(outside).find_map(|(kind, file)| file.ok().filter(|file| is_right(file, kind, &link)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ByBuildId,
    ByLink,
}

#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    kind: Kind,
    path: PathBuf,
}

/// Where to look, in order.
fn candidates(link: &Link, directory: &Path, debug: &Path) -> Vec<Candidate> {
    let mut paths = Vec::new();
    if let Some((first, rest)) = link.build_id.as_deref().and_then(|id| id.split_at_checked(2)) {
        let path = debug.join(".build-id").join(first).join(format!("{rest}.debug"));
        paths.push(Candidate { kind: Kind::ByBuildId, path });
    }
    if let Some((name, _)) = &link.debug_link {
        let below = directory.strip_prefix("/").unwrap_or(directory);
        for path in [directory.join(name), directory.join(".debug").join(name), debug.join(below).join(name)]
        {
            paths.push(Candidate { kind: Kind::ByLink, path });
        }
    }
    paths
}

fn read_link(image: &Image) -> Link {
    let cache = image.data();
    let debug_link = ElfFile::<FileHeader64<Endianness>, _>::parse(&cache)
        .ok()
        .and_then(|elf| elf.gnu_debuglink().ok().flatten())
        .and_then(|(name, crc)| Some((file_name(name)?, crc)));
    Link { build_id: image.build_id.clone().filter(|id| id.len() > 2), debug_link }
}

/// A link is a file name; one with folders in it comes from no linker.
fn file_name(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let plain =
        !name.is_empty() && name.len() < 256 && !name.contains(['/', '\0']) && name != "." && name != "..";
    plain.then(|| name.to_owned())
}

fn is_right(file: &File, kind: Kind, link: &Link) -> bool {
    match kind {
        Kind::ByBuildId => {
            let image = file.try_clone().ok().and_then(|file| Image::from_file("debug file", file).ok());
            image.is_some_and(|image| image.build_id == link.build_id)
        }
        Kind::ByLink => {
            let Some((_, expected)) = &link.debug_link else { return false };
            checksum(file).is_ok_and(|checksum| checksum == *expected)
        }
    }
}

/// CRC-32 as in zlib, over the whole file.
fn checksum(file: &File) -> io::Result<u32> {
    let mut hasher = crc32fast::Hasher::new();
    let mut rest = file.take(MOST_BYTES);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_places_are_tried_in_order() {
        let link = Link { build_id: Some("abcdef".into()), debug_link: Some(("app.debug".into(), 7)) };
        let paths: Vec<PathBuf> = candidates(&link, Path::new("/usr/bin"), Path::new("/usr/lib/debug"))
            .into_iter()
            .map(|candidate| candidate.path)
            .collect();
        assert_eq!(
            paths,
            [
                "/usr/lib/debug/.build-id/ab/cdef.debug",
                "/usr/bin/app.debug",
                "/usr/bin/.debug/app.debug",
                "/usr/lib/debug/usr/bin/app.debug"
            ]
            .map(PathBuf::from)
        );
        assert!(candidates(&Link::default(), Path::new("/"), Path::new("/d")).is_empty());
    }

    #[test]
    fn a_link_out_of_its_folder_is_refused() {
        for hostile in [&b"../../etc/shadow"[..], b"/etc/shadow", b"", b"..", b"a\0b", b"\xff"] {
            assert_eq!(file_name(hostile), None);
        }
        assert_eq!(file_name(b"app.debug").as_deref(), Some("app.debug"));
    }
}
