//! A part of a file of the target, out of the target's reach.

use std::{
    fs::File,
    io::{self, Write},
    ops::Deref,
    os::unix::fs::FileExt,
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Copied into memory at most, for all files together: more than all symbols and lines of common programs.
pub(super) const MOST_IN_MEMORY: u64 = 32 << 20;

/// Copied to disk at most, for all files together: the debug information of a browser.
const MOST_ON_DISK: u64 = 1 << 30;

/// What may still be copied, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    pub(super) memory: u64,
    pub(super) disk: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { memory: MOST_IN_MEMORY, disk: MOST_ON_DISK }
    }
}

/// A copy of a part of a file. The file itself is never mapped: a target that cut it short while we read would end us with
/// SIGBUS. What is too much for memory lies in a file of our own without a name, whose pages the kernel can drop again.
#[derive(Debug)]
pub(super) enum Bytes {
    InMemory(Vec<u8>),
    OnDisk(Mapping),
}

impl Bytes {
    /// Copies a part of a file.
    pub(super) fn read(file: &File, offset: u64, length: u64, allowance: &mut Allowance) -> io::Result<Self> {
        let end = offset.checked_add(length).ok_or(io::ErrorKind::UnexpectedEof)?;
        if end > file.metadata()?.len() {
            let message = "it reaches beyond the end of the file";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        if let Some(rest) = allowance.memory.checked_sub(length) {
            let mut copy = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            file.read_exact_at(&mut copy, offset)?;
            allowance.memory = rest;
            return Ok(Self::InMemory(copy));
        }
        let too_much = || io::Error::other(format!("{length} bytes are more than may still be copied"));
        allowance.disk = allowance.disk.checked_sub(length).ok_or_else(too_much)?;
        let copy = copy_to_disk(file, offset, length)?;
        Ok(Self::OnDisk(Mapping::new(&copy, usize::try_from(length).map_err(io::Error::other)?)?))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::InMemory(bytes) => bytes,
            Self::OnDisk(mapping) => mapping.0,
        }
    }
}

fn copy_to_disk(file: &File, offset: u64, length: u64) -> io::Result<File> {
    const PIECE: u64 = 1 << 20;
    let mut copy = tempfile::tempfile()?;
    let mut piece = vec![0; 1 << 20];
    let mut done = 0;
    while done < length {
        let next = PIECE.min(length - done);
        let piece = &mut piece[..usize::try_from(next).map_err(io::Error::other)?];
        file.read_exact_at(piece, offset + done)?;
        copy.write_all(piece)?;
        done += next;
    }
    Ok(copy)
}

/// A file of our own in memory. It lives as long as this struct, which lends it for no longer.
#[derive(Debug)]
pub(super) struct Mapping(&'static [u8]);

impl Mapping {
    fn new(own: &File, length: usize) -> io::Result<Self> {
        // SAFETY: a new mapping takes no memory that is in use.
        #[allow(unsafe_code, reason = "mmap(2)")]
        let address =
            unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, own, 0)? };
        // SAFETY: mapped just now, readable, this long, unmapped only by our own drop, and of a file that has no name and
        // that nobody else has open.
        #[allow(unsafe_code, reason = "mmap(2)")]
        let pages = unsafe { std::slice::from_raw_parts(address.cast::<u8>().cast_const(), length) };
        Ok(Self(pages))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: ours, and nobody borrows from it any more.
        #[allow(unsafe_code, reason = "munmap(2)")]
        let _ = unsafe { munmap(self.0.as_ptr().cast_mut().cast(), self.0.len()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[test]
    fn a_target_that_cuts_its_file_short_changes_nothing_that_was_read() {
        let content: Vec<u8> = (0..3 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
        let file = file(&content);
        let nothing = Allowance { memory: 0, ..Allowance::default() };
        for mut allowance in [Allowance::default(), nothing] {
            let bytes = Bytes::read(&file, 5000, 2_500_000, &mut allowance).unwrap();
            file.set_len(0).unwrap();
            assert_eq!(*bytes, content[5000..2_505_000], "{allowance:?}");
            file.write_all_at(&content, 0).unwrap();
        }
    }

    #[test]
    fn a_part_that_is_not_there_or_too_much_is_an_error() {
        let file = file(&[7; 100]);
        for (offset, length) in [(0, 101), (100, 1), (u64::MAX, 2)] {
            assert!(Bytes::read(&file, offset, length, &mut Allowance::default()).is_err(), "{offset}");
        }
        let mut little = Allowance { memory: 10, disk: 50 };
        assert!(matches!(Bytes::read(&file, 0, 10, &mut little), Ok(Bytes::InMemory(_))));
        assert!(matches!(Bytes::read(&file, 0, 50, &mut little), Ok(Bytes::OnDisk(_))));
        let error = Bytes::read(&file, 0, 1, &mut little).unwrap_err();
        assert!(error.to_string().contains("more than may still be copied"), "{error}");
        // a file full of holes, as large as it likes
        file.set_len(1 << 40).unwrap();
        assert!(Bytes::read(&file, 0, 1 << 39, &mut Allowance::default()).is_err());
        assert!(Bytes::read(&file, 0, 0, &mut little).unwrap().is_empty());
    }
}
