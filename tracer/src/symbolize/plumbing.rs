//! Which frames of a stack are the allocator's, or the language's library between it and the program.
//!
//! A person wants to see their own line first: not `malloc`, nor `RawVec::grow_one` and `Vec::push` around it.

use leakhound_report::recording::Frame;

/// Marks the innermost frames up to the program's own first one. When all of them look like a library, the program has no
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
mod tests {
    use super::*;

    fn frame(function: &str, file: &str) -> Frame {
        let file = (!file.is_empty()).then(|| file.to_owned());
        Frame { function: Some(function.to_owned()), file, ..Frame::default() }
    }

    fn first_own(frames: &[(&str, &str)]) -> usize {
        let mut frames: Vec<Frame> = frames.iter().map(|(function, file)| frame(function, file)).collect();
        mark(&mut frames);
        frames.iter().take_while(|frame| frame.allocator).count()
    }

    #[test]
    fn the_programs_own_line_comes_first() {
        let c = [("malloc", ""), ("leak_third", "/srv/app/seed.c"), ("main", "/srv/app/seed.c")];
        assert_eq!(first_own(&c), 1);
        let rust = [
            ("malloc", ""),
            ("alloc::alloc::alloc", "/rustc/abc/library/alloc/src/alloc.rs"),
            (
                "<alloc::alloc::Global as core::alloc::Allocator>::allocate",
                "/rustc/abc/library/alloc/src/alloc.rs",
            ),
            ("alloc::boxed::Box<T>::new", "/rustc/abc/library/alloc/src/boxed.rs"),
            ("app::leak_box", "/srv/app/src/main.rs"),
            ("core::ops::function::FnOnce::call_once", "/rustc/abc/library/core/src/ops/function.rs"),
        ];
        assert_eq!(first_own(&rust), 4);
        let cxx = [
            ("malloc", ""),
            ("operator new(unsigned long)", ""),
            (
                "__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)",
                "/usr/include/c++/12/bits/new_allocator.h",
            ),
            ("void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(...)", ""),
            ("grow(std::vector<int>&)", "/srv/app/grow.cpp"),
        ];
        assert_eq!(first_own(&cxx), 4);
    }

    #[test]
    fn a_library_that_calls_malloc_for_the_program_stays_visible() {
        assert_eq!(first_own(&[("malloc", ""), ("strdup", ""), ("main", "")]), 1);
        assert_eq!(first_own(&[("malloc", ""), ("_IO_file_doallocate", ""), ("fopen", ""), ("main", "")]), 1);
    }

    #[test]
    fn a_stack_without_own_frames_keeps_its_library() {
        assert_eq!(
            first_own(&[("malloc", ""), ("alloc::vec::Vec<T>::push", ""), ("core::ops::call", "")]),
            1
        );
        assert_eq!(first_own(&[("malloc", "")]), 1);
        assert_eq!(first_own(&[]), 0);
    }

    #[test]
    fn frames_without_a_name_are_the_programs() {
        let mut frames = vec![frame("malloc", ""), Frame { address: 1, ..Frame::default() }];
        mark(&mut frames);
        assert!(frames[0].allocator && !frames[1].allocator);
    }
}
