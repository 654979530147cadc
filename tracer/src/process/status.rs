//! `/proc/PID/status`: one read, constant time, no lock of the target.
//!
//! Read here and not through the procfs crate because a process may call itself anything: one byte that is no UTF-8 in its
//! name must not hide the rest.

use std::{fs, io, path::Path};

/// The text of a status file.
#[derive(Debug)]
pub(crate) struct Status(String);

impl Status {
    /// Of a process.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        Self::read(Path::new(&format!("/proc/{pid}/status")))
    }

    /// Of the process or thread that a status file belongs to.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Ok(Self(String::from_utf8_lossy(&fs::read(path)?).into_owned()))
    }

    /// The first number of a field; `None` when this kernel does not write it. A name cannot forge a field: the kernel
    /// escapes line feeds in it.
    pub(crate) fn number(&self, field: &str) -> Option<u64> {
        self.numbers(field).next()
    }

    /// The numbers of a field, up to the first word that is none.
    pub(crate) fn numbers(&self, field: &str) -> impl Iterator<Item = u64> {
        let values = self.0.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        values.unwrap_or_default().split_whitespace().map_while(|word| word.parse().ok())
    }

    /// A field counted in KiB, in bytes.
    pub(crate) fn bytes(&self, field: &str) -> Option<u64> {
        self.number(field)?.checked_mul(1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status =
            Status("Name:\tThreads: 9\nVmRSS:\t    1344 kB\nThreads:\t3\nUid:\t7\t8\t9\t10\n".into());
        assert_eq!(status.number("Threads"), Some(3));
        assert_eq!(status.bytes("VmRSS"), Some(1344 << 10));
        assert_eq!(status.numbers("Uid").collect::<Vec<_>>(), [7, 8, 9, 10]);
        assert_eq!(status.number("Vm"), None);
        assert_eq!(status.number("Name"), None);
    }
}
