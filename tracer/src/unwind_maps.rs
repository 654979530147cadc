//! The kernel's copy of the unwind tables: two arrays, mapped into our memory and only ever appended to.
//!
//! Assumes: rows are in place before a page names them, and pages before a process's mapping names them
//! ([`crate::kernel_side::KernelSide::set_process`]); so a walk that runs meanwhile never sees half a table.
#![allow(unsafe_code, reason = "the arrays are filled through mmap: one system call instead of one per row")]

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    ptr::{self, NonNull},
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use thiserror::Error;

use crate::bpf::{Object, ObjectError};

/// The tables' maps could not be reached.
#[derive(Debug, Error)]
pub enum UnwindMapsError {
    /// They are not in the object.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// They could not be mapped.
    #[error("cannot map the unwind tables into memory")]
    Map(#[source] io::Error),
}

/// Where a module's table lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TablePlace {
    /// Index of its first page.
    pub first_page: u32,
    /// Pages.
    pub page_count: u32,
}

/// The arrays `rows` and `pages`.
#[derive(Debug)]
pub struct UnwindMaps {
    rows: MappedArray,
    pages: MappedArray,
}

impl UnwindMaps {
    /// Maps the arrays of a loaded object that were made with these lengths.
    pub fn new(object: &Object, rows: u32, pages: u32) -> Result<Self, UnwindMapsError> {
        Ok(Self {
            rows: MappedArray::new(object.map("rows")?, rows)?,
            pages: MappedArray::new(object.map("pages")?, pages)?,
        })
    }

    /// Appends a module's table: its rows, and per page the first row and the one after the last.
    /// `None` when there is no room left: the module is then walked by frame pointer.
    pub fn add(
        &mut self,
        rows: &[u64],
        pages: impl ExactSizeIterator<Item = (u32, u32)>,
    ) -> Option<TablePlace> {
        if rows.len() > self.rows.room() || pages.len() > self.pages.room() {
            return None;
        }
        let first_row = self.rows.length();
        let first_page = self.pages.length();
        let page_count = u32::try_from(pages.len()).ok()?;
        for row in rows {
            self.rows.push(*row);
        }
        for (first, end) in pages {
            self.pages.push(u64::from(first_row + first) | u64::from(first_row + end) << 32);
        }
        Some(TablePlace { first_page, page_count })
    }
}

/// An array map of 8-byte values in our own memory.
#[derive(Debug)]
struct MappedArray {
    start: NonNull<u64>,
    capacity: usize,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone and is reached only through `&mut self`.
unsafe impl Send for MappedArray {}

impl MappedArray {
    fn new(map: BorrowedFd<'_>, capacity: u32) -> Result<Self, UnwindMapsError> {
        let capacity = capacity.max(1) as usize;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                byte_length(capacity),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map.as_fd(),
                0,
            )
        }
        .map_err(|error| UnwindMapsError::Map(error.into()))?;
        let start = NonNull::new(start.cast())
            .ok_or_else(|| UnwindMapsError::Map(io::ErrorKind::InvalidData.into()))?;
        Ok(Self { start, capacity, length: 0 })
    }

    fn room(&self) -> usize {
        self.capacity - self.length
    }

    fn length(&self) -> u32 {
        u32::try_from(self.length).unwrap_or(u32::MAX)
    }

    fn push(&mut self, value: u64) {
        debug_assert!(self.length < self.capacity, "callers ask for room first");
        if self.length < self.capacity {
            // SAFETY: within the mapping, which holds `capacity` values of 8 bytes and is aligned to a page.
            unsafe { self.start.add(self.length).write_volatile(value) };
            self.length += 1;
        }
    }
}

impl Drop for MappedArray {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`, used by nobody after this.
        if let Err(error) = unsafe { munmap(self.start.as_ptr().cast(), byte_length(self.capacity)) } {
            tracing::debug!(%error, "cannot unmap an unwind table");
        }
    }
}

fn byte_length(capacity: usize) -> usize {
    (capacity * 8).next_multiple_of(4096)
}
