//! `/proc/PID/maps`: where a process has which file.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
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

/// Longest list read: a process with 65,530 mappings (the kernel's default limit) and long paths has 16 MiB.
const MOST_BYTES: u64 = 32 << 20;

/// The executable mappings of a process, in order of their addresses. Empty when the process has ended.
pub fn executable(process: ProcessId) -> io::Result<Vec<Mapping>> {
    let mut text = Vec::new();
    File::open(format!("/proc/{}/maps", process.pid))?.take(MOST_BYTES).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text)
        .lines()
        .filter_map(parse)
        .filter(|mapping| mapping.executable)
        .collect())
}

/// Reads one line; the kernel writes newlines in names as `\012`.
fn parse(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let offset = fields.next()?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let inode = fields.next()?.parse().ok()?;
    let name = fields.next().unwrap_or_default().trim_start();
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let hex32 = |text| u32::from_str_radix(text, 16).ok();
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        file_offset: hex(offset)?,
        device: (hex32(major)?, hex32(minor)?),
        inode,
        executable: permissions.contains('x'),
        path: match name {
            "" => MapPath::Anonymous,
            "[vdso]" => MapPath::Vdso,
            name if name.starts_with('/') => {
                let (path, deleted) =
                    name.strip_suffix(" (deleted)").map_or((name, false), |path| (path, true));
                MapPath::File { path: path.replace("\\012", "\n").into(), deleted }
            }
            name if name.starts_with("[anon") => MapPath::Anonymous,
            name => MapPath::Special(name.to_owned()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_kind_are_read() {
        let file =
            parse("7f1-7f2 r-xp 00026000 fd:01 1234                       /usr/lib/x y/libc.so.6").unwrap();
        assert_eq!((file.start, file.end, file.file_offset, file.inode), (0x7f1, 0x7f2, 0x26000, 1234));
        assert_eq!(file.device, (0xfd, 1));
        assert!(file.executable);
        assert_eq!(file.path, MapPath::File { path: "/usr/lib/x y/libc.so.6".into(), deleted: false });
        let deleted = parse("1-2 r-xp 0 00:2f 9 /tmp/a\\012b (deleted)").unwrap();
        assert_eq!(deleted.path, MapPath::File { path: "/tmp/a\nb".into(), deleted: true });
        assert_eq!(parse("1-2 rwxp 0 00:00 0 ").unwrap().path, MapPath::Anonymous);
        assert_eq!(parse("1-2 rwxp 0 00:00 0").unwrap().path, MapPath::Anonymous);
        assert_eq!(parse("1-2 r-xp 0 00:00 0    [vdso]").unwrap().path, MapPath::Vdso);
        assert_eq!(
            parse("1-2 --xp 0 00:00 0    [uprobes]").unwrap().path,
            MapPath::Special("[uprobes]".into())
        );
    }

    #[test]
    fn nonsense_is_no_mapping() {
        for line in ["", "x", "1 r-xp", "1-2 r-xp 0 0:0", "g-h r-xp 0 0:0 0"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn our_own_code_is_mapped() {
        let own = ProcessId { pid: std::process::id(), start_ticks: 0 };
        let here = our_own_code_is_mapped as *const () as u64;
        assert!(executable(own).unwrap().iter().any(|mapping| (mapping.start..mapping.end).contains(&here)));
    }
}
