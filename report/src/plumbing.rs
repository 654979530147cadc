//! Which frames of a stack are the allocator's, or the language's library between it and the program.
//!
//! A person wants to see their own line first: not `malloc`, nor `RawVec::grow_one` and `Vec::push` around it. In the
//! kernel, not the page and slab allocators but who asked them: `do_anonymous_page`, `ext4_alloc_inode`.

mod kernel;

pub use kernel::mark_kernel;

use crate::recording::Frame;

/// Marks the innermost frames of a program's stack up to the program's own first one. When all of them look like a library, the program has no
/// frame of its own, and only the allocator's functions proper are marked.
pub fn mark(frames: &mut [Frame]) {
    let innermost = |test: fn(&Frame) -> bool| frames.iter().take_while(|frame| test(frame)).count();
    let library = innermost(|frame| is_allocator(frame) || is_library(frame));
    let count = if library < frames.len() { library } else { innermost(is_allocator) };
    for frame in frames.iter_mut().take(count) {
        frame.allocator = true;
    }
}

/// The allocator itself: C's functions, C++'s operators, Rust's entry points.
fn is_allocator(frame: &Frame) -> bool {
    let Some(name) = frame.function.as_deref() else { return frame.allocator };
    let name = name.split_once('(').map_or(name, |(name, _)| name).trim_end();
    frame.allocator
        || C_FUNCTIONS.contains(&name)
        || name.starts_with("operator new")
        || RUST_FUNCTIONS.iter().any(|prefix| name.starts_with(prefix))
        || name.contains("as core::alloc::global::GlobalAlloc>::")
        || name.contains("as core::alloc::Allocator>::")
}

const C_FUNCTIONS: [&str; 14] = [
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
    "je_malloc_default",
];

const RUST_FUNCTIONS: [&str; 8] = [
    "__rust_alloc",
    "__rust_realloc",
    "__rdl_",
    "__rg_",
    "alloc::alloc::",
    "<alloc::alloc::Global",
    "__rustc::__rust_",
    "__rustc::__rdl_",
];

/// Containers, strings and smart pointers of C++ and Rust: known by where their source lies, or by name without debug
/// information.
fn is_library(frame: &Frame) -> bool {
    let from_library = frame.file.as_deref().is_some_and(|file| {
        file.starts_with("/rustc/")
            || file.contains("/lib/rustlib/src/rust/library/")
            || file.contains("/include/c++/")
    });
    from_library || frame.function.as_deref().is_some_and(is_library_name)
}

fn is_library_name(name: &str) -> bool {
    const RUST: [&str; 13] = [
        "alloc::boxed::",
        "alloc::raw_vec::",
        "alloc::vec::",
        "alloc::rc::",
        "alloc::sync::",
        "alloc::string::",
        "alloc::collections::",
        "alloc::slice::",
        "alloc::str::",
        "alloc::borrow::",
        "hashbrown::",
        "core::",
        "std::collections::",
    ];
    const CXX: [&str; 10] = [
        "std::allocator",
        "__gnu_cxx::",
        "std::_Vector_base",
        "std::vector<",
        "std::__cxx11::basic_string",
        "std::basic_string",
        "std::__shared_count",
        "std::_Hashtable",
        "std::_Rb_tree",
        "std::__detail::",
    ];
    // `<alloc::vec::Vec<T> as ...>::push` and C++'s return types before the name
    let bare = name.trim_start_matches('<').trim_start_matches("void ");
    RUST.iter().chain(&CXX).any(|prefix| bare.starts_with(prefix))
}

#[cfg(test)]
mod tests;
