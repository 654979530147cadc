//! A part of a file of the target in memory.

use std::{fs::File, io, ops::Deref, os::unix::fs::FileExt};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A part of a file.
///
/// Caveat: what is mapped rather than copied is the file itself. A target that cuts it short while we read ends us with
/// SIGBUS; the probes then come off with the process that held them. Copying everything would take as much memory of ours
/// as a program has debug information, hundreds of megabytes; what is mapped the kernel can drop again.
#[derive(Debug)]
pub(super) enum Bytes {
    Copied(Vec<u8>),
    Mapped(Mapping),
}

impl Bytes {
    /// Copies a part of a file, as long as there is room for it in `allowance`, and maps it otherwise.
    pub(super) fn read(file: &File, offset: u64, length: u64, allowance: &mut usize) -> io::Result<Self> {
        let outside =
            || io::Error::new(io::ErrorKind::UnexpectedEof, "it reaches beyond the end of the file");
        let end = offset.checked_add(length).ok_or_else(outside)?;
        if end > file.metadata()?.len() {
            return Err(outside());
        }
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let Some(rest) = allowance.checked_sub(length) else {
            return Ok(Self::Mapped(Mapping::new(file, offset, length)?));
        };
        let mut copy = vec![0; length];
        file.read_exact_at(&mut copy, offset)?;
        *allowance = rest;
        Ok(Self::Copied(copy))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Mapped(mapping) => &mapping.pages[mapping.start..],
        }
    }
}

/// Whole pages of a file, of which the first `start` bytes were not asked for.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Lives as long as this struct, which lends it for no longer.
    pages: &'static [u8],
    start: usize,
}

impl Mapping {
    fn new(file: &File, offset: u64, length: usize) -> io::Result<Self> {
        const LARGEST_PAGE: u64 = 64 << 10;
        let first = offset & !(LARGEST_PAGE - 1);
        let start = usize::try_from(offset - first).map_err(io::Error::other)?;
        let length = length.checked_add(start).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping takes no memory that is in use.
        #[allow(unsafe_code, reason = "mmap(2)")]
        let address =
            unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, file, first)? };
        // SAFETY: mapped just now, readable, this long, and unmapped only by our own drop. That others may write to the
        // file is no different from reading it: who parses these bytes trusts none of them.
        #[allow(unsafe_code, reason = "mmap(2)")]
        let pages = unsafe { std::slice::from_raw_parts(address.cast::<u8>().cast_const(), length) };
        Ok(Self { pages, start })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: ours, and nobody borrows from it any more.
        #[allow(unsafe_code, reason = "munmap(2)")]
        let _ = unsafe { munmap(self.pages.as_ptr().cast_mut().cast(), self.pages.len()) };
    }
}
