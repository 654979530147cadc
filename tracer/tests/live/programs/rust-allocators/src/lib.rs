//! Leaks and frees a number of blocks in every way that a Rust program allocates: `PROGRAM COUNT`. C's own malloc is beside it,
//! as in a program that links a C library.

use std::{ffi::c_void, hint::black_box, mem::forget};

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
}

#[inline(never)]
fn leak_here() {
    forget(black_box(Vec::<u8>::with_capacity(100)));
}

#[inline(never)]
fn no_leak_here() {
    drop(black_box(Vec::<u8>::with_capacity(100)));
}

#[inline(never)]
fn leak_zeroed() {
    forget(black_box(vec![0u8; black_box(100)]));
}

#[inline(never)]
fn leak_grown() {
    let mut grown = black_box(Vec::<u8>::with_capacity(10));
    grown.push(1);
    grown.reserve_exact(99);
    forget(black_box(grown));
}

#[repr(align(256))]
struct Aligned(#[expect(dead_code, reason = "only its size counts")] [u8; 256]);

#[inline(never)]
fn leak_aligned() {
    forget(black_box(Box::new(Aligned([1; 256]))));
}

#[inline(never)]
fn leak_by_c() {
    // SAFETY: malloc may be called with any size.
    black_box(unsafe { malloc(black_box(100)) });
}

/// Runs all of them as often as the first argument says.
pub fn run() {
    let count: u64 = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1000);
    for _ in 0..count {
        leak_here();
        no_leak_here();
        leak_zeroed();
        leak_grown();
        leak_aligned();
        leak_by_c();
    }
}
