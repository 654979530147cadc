//! `/proc/PID/maps`: where a process has which file.

use std::{
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, BufRead, BufReader},
    os::unix::ffi::OsStringExt,
    path::PathBuf,
};

use crate::process::ProcessId;

/// One line of `/proc/PID/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// Where in the file it begins.
    pub file_offset: u64,
    /// Major and minor number of the file's device.
    pub device: (u32, u32),
    /// The file's inode; 0 without a file.
    pub inode: u64,
    /// May be executed.
    pub executable: bool,
    /// What is mapped.
    pub path: MapPath,
}

/// What is mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapPath {
    /// A file, by its path in the target's root.
    File {
        /// As the target sees it.
        path: PathBuf,
        /// Removed or replaced since: the path names nothing, or another file.
        deleted: bool,
    },
    /// Code that the kernel puts into every process.
    Vdso,
    /// No file: heap, stack, JIT code.
    Anonymous,
    /// Another bracketed name, such as `[uprobes]`.
    Special(String),
}

impl MapPath {
    /// The page that the kernel puts into a program for its probes: return probes put its address into the place of a
    /// caller's.
    pub fn is_for_probes(&self) -> bool {
        matches!(self, Self::Special(name) if name == "[uprobes]")
    }
}

impl fmt::Display for MapPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "{}", path.display()),
            Self::Vdso => f.write_str("[vdso]"),
            Self::Anonymous => f.write_str("[anonymous]"),
            Self::Special(name) => f.write_str(name),
        }
    }
}

/// Bytes of lines of executable mappings that are kept: about 150,000 lines, where the unwinder knows 512. Only somebody
/// who wants to exhaust our memory has more.
const MOST_BYTES: usize = 16 << 20;

/// The executable mappings of a process, in order of their addresses. Empty when the process has ended.
pub fn executable(process: ProcessId) -> io::Result<Vec<Mapping>> {
    let file = File::open(format!("/proc/{}/maps", process.pid))?;
    read_executable(BufReader::with_capacity(1 << 16, file))
}

fn read_executable(mut lines: impl BufRead) -> io::Result<Vec<Mapping>> {
    let mut kept = 0;
    let mut mappings = Vec::new();
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        if let Some(mapping) = parse(&line).filter(|mapping| mapping.executable) {
            kept += line.len();
            if kept > MOST_BYTES {
                let message = "it has more than 16 MiB of executable mappings";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            mappings.push(mapping);
        }
        line.clear();
    }
    Ok(mappings)
}

/// Reads one line, as `show_map_vma` of the kernel's fs/proc/task_mmu.c writes it. A name may be any bytes; only line feeds
/// are escaped, as `\012`.
fn parse(line: &[u8]) -> Option<Mapping> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let hex32 = |text| u32::from_str_radix(text, 16).ok();
    let (start, end) = text()?.split_once('-')?;
    let (start, end) = (hex(start)?, hex(end)?);
    let executable = text()?.contains('x');
    let file_offset = hex(text()?)?;
    let (major, minor) = text()?.split_once(':')?;
    let device = (hex32(major)?, hex32(minor)?);
    let inode = text()?.parse().ok()?;
    let path = map_path(fields.next().unwrap_or_default().trim_ascii_start());
    (start < end).then_some(Mapping { start, end, file_offset, device, inode, executable, path })
}

fn map_path(name: &[u8]) -> MapPath {
    match name {
        b"" => MapPath::Anonymous,
        b"[vdso]" => MapPath::Vdso,
        [b'/', ..] => {
            let (path, deleted) = name.strip_suffix(b" (deleted)").map_or((name, false), |path| (path, true));
            MapPath::File { path: OsString::from_vec(unescape(path)).into(), deleted }
        }
        name if name.starts_with(b"[anon") => MapPath::Anonymous,
        name => MapPath::Special(String::from_utf8_lossy(name).into_owned()),
    }
}

fn unescape(mut path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    while let Some((first, rest)) = path.split_first() {
        if let Some(after) = path.strip_prefix(br"\012") {
            plain.push(b'\n');
            path = after;
        } else {
            plain.push(*first);
            path = rest;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_kind_are_read() {
        let file = parse(b"7f1-7f2 r-xp 00026000 fd:01 1234                       /usr/lib/x y/libc.so.6\n")
            .unwrap();
        assert_eq!((file.start, file.end, file.file_offset, file.inode), (0x7f1, 0x7f2, 0x26000, 1234));
        assert_eq!(file.device, (0xfd, 1));
        assert!(file.executable);
        let path = |line: &[u8]| parse(line).unwrap().path;
        let named =
            |path: &[u8], deleted| MapPath::File { path: OsString::from_vec(path.into()).into(), deleted };
        assert_eq!(file.path, named(b"/usr/lib/x y/libc.so.6", false));
        assert_eq!(path(b"1-2 r-xp 0 00:2f 9 /tmp/a\\012b (deleted)"), named(b"/tmp/a\nb", true));
        assert_eq!(path(b"1-2 r-xp 0 00:2f 9 /tmp/\xff\\01\xc3"), named(b"/tmp/\xff\\01\xc3", false));
        assert_eq!(path(b"1-2 rwxp 0 00:00 0 "), MapPath::Anonymous);
        assert_eq!(path(b"1-2 rwxp 0 00:00 0"), MapPath::Anonymous);
        assert_eq!(path(b"1-2 rwxp 0 00:00 0    [anon:jit code]"), MapPath::Anonymous);
        assert_eq!(path(b"1-2 r-xp 0 00:00 0    [vdso]"), MapPath::Vdso);
        assert_eq!(path(b"1-2 --xp 0 00:00 0    [uprobes]"), MapPath::Special("[uprobes]".into()));
        assert!(path(b"1-2 --xp 0 00:00 0    [uprobes]").is_for_probes());
        assert_eq!(path(b"1-2 r-xp 0 00:0e 3 anon_inode:[x]"), MapPath::Special("anon_inode:[x]".into()));
        assert!(!parse(b"1-2 rw-p 0 00:00 0 [heap]").unwrap().executable);
    }

    #[test]
    fn nonsense_is_no_mapping() {
        for line in
            ["", "x", "1 r-xp", "1-2 r-xp 0 0:0", "g-h r-xp 0 0:0 0", "2-2 r-xp 0 0:0 0", "2-1 r-xp 0 0:0 0"]
        {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(parse(b"1-2 r-xp \xff 0:0 0"), None);
    }

    #[test]
    fn a_list_without_end_is_an_error_and_data_costs_nothing() {
        let data = b"1000-2000 rw-p 00000000 00:00 0\n";
        assert_eq!(read_executable(data.repeat(1 << 20).as_slice()).unwrap(), []);
        let name = "n".repeat(1 << 20);
        let line = format!("1000-2000 r-xp 00000000 00:00 7 /{name}\n");
        assert_eq!(read_executable(line.repeat(15).as_bytes()).unwrap().len(), 15);
        assert!(read_executable(line.repeat(16).as_bytes()).unwrap_err().to_string().contains("16 MiB"));
    }

    #[test]
    fn our_own_code_is_mapped() {
        let own = ProcessId { pid: std::process::id(), start_ticks: 0 };
        let here = our_own_code_is_mapped as *const () as u64;
        let mapped = executable(own).unwrap();
        assert!(mapped.iter().any(|mapping| (mapping.start..mapping.end).contains(&here)));
        assert!(mapped.is_sorted_by_key(|mapping| mapping.start));
        assert!(mapped.iter().any(|mapping| mapping.path == MapPath::Vdso));
    }
}
