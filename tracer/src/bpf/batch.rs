//! Reads whole hash maps in few system calls: one at a time costs 2-4 microseconds an entry.
#![allow(unsafe_code, reason = "BPF_MAP_LOOKUP_BATCH writes into buffers given by address")]

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
};

use aya::Pod;
use aya_obj::generated::{bpf_attr, bpf_cmd};
use thiserror::Error;

use super::syscall::bpf;

/// A map could not be read to its end.
#[derive(Debug, Error)]
#[error("cannot read a map in batches")]
pub struct BatchError(#[from] io::Error);

/// Entries asked for at once. A bucket longer than this would stop the walk, and hash buckets hold one or two.
const ENTRIES: usize = 4096;

/// All entries of a hash map.
pub fn read_all<K: Pod, V: Pod>(map: BorrowedFd<'_>) -> Result<Vec<(K, V)>, BatchError> {
    let mut entries = Vec::new();
    read_each(map, |key, value| entries.push((key, value)))?;
    Ok(entries)
}

/// Calls `each` with every entry of a hash map, without holding all of them. Entries that come or go meanwhile may be missed.
pub fn read_each<K: Pod, V: Pod>(map: BorrowedFd<'_>, mut each: impl FnMut(K, V)) -> Result<(), BatchError> {
    let mut keys: Vec<K> = Vec::with_capacity(ENTRIES);
    let mut values: Vec<V> = Vec::with_capacity(ENTRIES);
    // Where the kernel stopped: opaque, 4 bytes for hash maps.
    let mut cursor = 0u32;
    let mut first = true;
    loop {
        // SAFETY: bpf_attr is a union of structs of integers, for which all zeroes is a value.
        let mut attr: bpf_attr = unsafe { mem::zeroed() };
        // SAFETY: writing an integer-only member of a zeroed union.
        let batch = unsafe { &mut attr.batch };
        batch.map_fd = map.as_raw_fd().cast_unsigned();
        batch.in_batch = if first { 0 } else { (&raw const cursor) as u64 };
        batch.out_batch = (&raw mut cursor) as u64;
        batch.keys = keys.as_mut_ptr() as u64;
        batch.values = values.as_mut_ptr() as u64;
        batch.count = u32::try_from(ENTRIES).unwrap_or(u32::MAX);
        first = false;
        let result = bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr);
        let ended = match result {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error.into()),
        };
        // SAFETY: reading back the integer the kernel wrote; it never exceeds the count given.
        let filled = (unsafe { attr.batch.count } as usize).min(ENTRIES);
        // SAFETY: the kernel filled this many keys and values, and Pod types accept any bytes.
        unsafe {
            keys.set_len(filled);
            values.set_len(filled);
        }
        keys.drain(..).zip(values.drain(..)).for_each(|(key, value)| each(key, value));
        if ended {
            return Ok(());
        }
    }
}
