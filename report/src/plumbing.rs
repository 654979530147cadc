//! Which frames of a stack are the allocator's, or the language's library between it and the program.
//!
//! A person wants to see their own line first: not `malloc`, nor `RawVec::grow_one` and `Vec::push` around it. In the
//! kernel, not the page and slab allocators but who asked them: `do_anonymous_page`, `ext4_alloc_inode`.
//!
//! A C library that allocates for the program (`strdup`, `fopen`) is no plumbing: it says what the memory is.

mod kernel;

pub use kernel::mark_kernel;

use crate::{function_name::qualified, recording::Frame};

/// Marks the innermost frames of a program's stack up to the program's own first one.
///
/// Where only the language's library lies between the allocator and the start of the program or thread, the program has no
/// frame of its own: then the part of the library that the allocation was for stays, at least the first frame that is not
/// the allocator's.
pub fn mark(frames: &mut [Frame]) {
    let innermost = |test: fn(&Frame) -> bool| frames.iter().take_while(|frame| test(frame)).count();
    let runs = [
        innermost(|frame| is_allocator(frame) || is_library(frame)),
        innermost(|frame| is_allocator(frame) || is_container(frame)),
        innermost(is_allocator),
    ];
    let [.., allocator] = runs;
    let count = runs.into_iter().find(|run| !starts_program(frames, *run)).unwrap_or(allocator);
    for frame in frames.iter_mut().take(count) {
        frame.allocator = true;
    }
}

/// The allocator itself: C's functions, C++'s operators, Rust's entry points and the crates that bind allocators to them.
fn is_allocator(frame: &Frame) -> bool {
    let Some(name) = frame.function.as_deref() else { return frame.allocator };
    let bare = name.split_once('(').map_or(name, |(name, _)| name).trim_end();
    frame.allocator
        || C_FUNCTIONS.contains(&bare)
        || is_of_allocator_family(bare)
        || ALLOCATOR_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || name.contains("as core::alloc::global::GlobalAlloc>::")
        || name.contains("as core::alloc::Allocator>::")
        || frame.file.as_deref().is_some_and(|file| ALLOCATOR_CRATES.iter().any(|part| file.contains(part)))
}

const C_FUNCTIONS: [&str; 13] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "valloc",
    "pvalloc",
    "__libc_malloc",
    "__libc_calloc",
    "__libc_realloc",
    "default_malloc",
];

/// `mi_malloc_aligned`, `_rjem_mallocx`, `tc_newarray` ...
fn is_of_allocator_family(name: &str) -> bool {
    let rest = ["mi_", "_mi_", "je_", "_rjem_", "tc_"].iter().find_map(|prefix| name.strip_prefix(prefix));
    rest.is_some_and(|rest| ["alloc", "memalign", "new"].iter().any(|what| rest.contains(what)))
}

const ALLOCATOR_PREFIXES: [&str; 9] = [
    "operator new",
    "__rust_alloc",
    "__rust_realloc",
    "__rdl_",
    "__rg_",
    "__rustc::__rust_",
    "__rustc::__rdl_",
    "alloc::alloc::",
    "<alloc::alloc::Global",
];

/// Crates that make an allocator Rust's global one, as cargo names their folders.
const ALLOCATOR_CRATES: [&str; 5] =
    ["/jemallocator-0.", "/tikv-jemallocator-0.", "/mimalloc-0.", "/rpmalloc-0.", "/snmalloc-rs-0."];

/// The standard library of C++ or Rust: known by where its source lies, or by name without debug information.
fn is_library(frame: &Frame) -> bool {
    match (&frame.file, &frame.function) {
        (Some(file), _) if is_library_source(file) => true,
        // what the program adds to the library's namespaces is its own
        (Some(file), _) if file.starts_with('/') => false,
        (_, Some(name)) => is_library_name(name),
        (_, None) => false,
    }
}

/// Whether a source file is one of the standard libraries: inlined calls often have a file and no namespace.
pub(crate) fn is_library_source(file: &str) -> bool {
    const FOLDERS: [&str; 8] = [
        "/rustc/",
        "/lib/rustlib/src/rust/library/",
        "/rust/deps/",
        "/include/c++/",
        "/x86_64-linux-gnu/c++/",
        "/aarch64-linux-gnu/c++/",
        "/libstdc++-v3/",
        "/libcxx/",
    ];
    FOLDERS.iter().any(|folder| file.contains(folder))
}

fn is_library_name(name: &str) -> bool {
    // callers of a program's lambda, which is most often inlined into them
    const CALLERS: [&str; 4] = ["::_M_invoke(", "::_M_run(", "::__invoke_impl<", "::__invoke_r<"];
    const NAMESPACES: [&str; 6] =
        ["alloc::", "core::", "std::", "hashbrown::", "__gnu_cxx::", "__cxxabiv1::"];
    let name = qualified(name);
    // `<T as alloc::slice::hack::ConvertVec>::to_vec`, `<str as alloc::string::ToString>::to_string`
    let for_any_type = name.split_once(" as ").is_some_and(|(of, _)| !of.contains("::"));
    for_any_type
        || name == "__cxa_allocate_exception"
        || NAMESPACES.iter().any(|namespace| name.starts_with(namespace))
            && !CALLERS.iter().any(|caller| name.contains(caller))
}

/// The part of the library that holds a program's data rather than doing something for it.
fn is_container(frame: &Frame) -> bool {
    const DOING: &str = "/library/std/";
    let does = match (&frame.file, &frame.function) {
        (Some(file), _) => file.contains(DOING),
        (None, Some(name)) => ["std::sys::", "std::rt::", "std::thread::"]
            .iter()
            .any(|module| qualified(name).starts_with(module)),
        (None, None) => false,
    };
    is_library(frame) && !does
}

/// Whether the frame at `place` is what starts every program or thread, or there is none.
fn starts_program(frames: &[Frame], place: usize) -> bool {
    const STARTS: [&str; 9] = [
        "_start",
        "__libc_start_main",
        "__libc_start_main_impl",
        "__libc_start_call_main",
        "start_thread",
        "clone",
        "clone3",
        "__clone",
        "__clone3",
    ];
    let Some(frame) = frames.get(place) else { return true };
    let Some(name) = frame.function.as_deref().filter(|_| !frame.inlined) else { return false };
    // C's main in a Rust program is made by the compiler
    let called = place.checked_sub(1).and_then(|inner| frames.get(inner));
    let of_rust = called.is_some_and(|inner| {
        inner.file.as_deref().is_some_and(|file| file.contains("/library/std/"))
            || inner.function.as_deref().is_some_and(|name| name.starts_with("std::rt::"))
    });
    STARTS.contains(&name) || name == "main" && frame.file.is_none() && of_rust
}

#[cfg(test)]
mod tests;
