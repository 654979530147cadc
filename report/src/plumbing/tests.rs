use super::*;

fn frame(function: &str, file: &str) -> Frame {
    let file = (!file.is_empty()).then(|| file.to_owned());
    Frame { function: Some(function.to_owned()), file, ..Frame::default() }
}

fn first_own(frames: &[(&str, &str)]) -> usize {
    let mut frames: Vec<Frame> = frames.iter().map(|(function, file)| frame(function, file)).collect();
    mark(&mut frames);
    let count = frames.iter().take_while(|frame| frame.allocator).count();
    assert!(frames[count..].iter().all(|frame| !frame.allocator));
    count
}

/// Stacks as programs of GCC 12 and Rust 1.95 gave them; `>` is the program's own first line, `i` an inlined call.
const STACKS: &str = include_str!("stacks.txt");

#[test]
fn the_programs_own_line_comes_first() {
    let mut stacks = 0;
    for stack in STACKS.split("\n\n") {
        let lines: Vec<&str> = stack.lines().filter(|line| !line.starts_with('#')).collect();
        let mut frames: Vec<Frame> = lines
            .iter()
            .map(|line| {
                let line = line[1..].trim_start();
                let inlined = line.starts_with("i ");
                let (function, file) = line.trim_start_matches("i ").split_once(" | ").unwrap_or((line, ""));
                Frame { inlined, ..frame(function, file) }
            })
            .collect();
        let own = lines.iter().position(|line| line.starts_with('>')).expect("a line of its own");
        mark(&mut frames);
        let marked: Vec<bool> = frames.iter().map(|frame| frame.allocator).collect();
        let expected: Vec<bool> = (0..frames.len()).map(|at| at < own).collect();
        assert_eq!(marked, expected, "{stack}");
        stacks += 1;
    }
    assert!(stacks > 20, "{stacks}");
}

#[test]
fn names_alone_tell_a_library_too() {
    // as memleak's logs have them, with return types
    let realloc = "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(int&&)";
    assert_eq!(first_own(&[("malloc", ""), (realloc, ""), ("grow(std::vector<int>&)", ""), ("main", "")]), 2);
    for library in [
        "<alloc::vec::Vec<T> as core::iter::traits::collect::FromIterator<T>>::from_iter",
        "<str as alloc::string::ToString>::to_string",
        "<T as alloc::slice::hack::ConvertVec>::to_vec",
        "hashbrown::raw::RawTable<T>::reserve_rehash",
        "__cxa_allocate_exception",
    ] {
        assert_eq!(
            first_own(&[("malloc", ""), (library, ""), ("app::work", ""), ("main", "")]),
            2,
            "{library}"
        );
    }
    for own in
        ["<app::Item as core::clone::Clone>::clone", "standard::read", "allocate", "std_read", "core_loop"]
    {
        assert_eq!(first_own(&[("malloc", ""), (own, ""), ("main", "")]), 1, "{own}");
    }
}

#[test]
fn what_the_program_adds_to_a_librarys_namespace_is_its_own() {
    let hash = ("std::hash<Key>::operator()(Key const&) const", "/srv/app/key.h");
    assert_eq!(first_own(&[("malloc", ""), hash, ("main", "/srv/app/main.cpp")]), 1);
}

#[test]
fn a_library_that_calls_malloc_for_the_program_stays_visible() {
    assert_eq!(first_own(&[("malloc", ""), ("strdup", ""), ("main", "")]), 1);
    assert_eq!(first_own(&[("malloc", ""), ("_IO_file_doallocate", ""), ("fopen", ""), ("main", "")]), 1);
    assert_eq!(first_own(&[("calloc", ""), ("allocate_dtv", "elf/dl-tls.c"), ("pthread_create", "")]), 1);
}

#[test]
fn a_stack_without_own_frames_keeps_its_library() {
    let std = "/rustc/5980761/library/std/src/rt.rs";
    let alloc = "/rustc/5980761/library/alloc/src/boxed.rs";
    // Rust's start-up: neither C's main nor libc is the program's
    let start = [
        ("malloc", ""),
        ("alloc::alloc::alloc", alloc),
        ("alloc::boxed::Box<T>::new", alloc),
        ("std::sys::thread_info::set", std),
        ("std::rt::lang_start_internal", std),
        ("main", ""),
        ("__libc_start_call_main", "sysdeps/nptl/libc_start_call_main.h"),
    ];
    assert_eq!(first_own(&start), 3);
    let thread =
        [("malloc", ""), ("alloc::boxed::Box<T>::new", alloc), ("start_thread", "nptl/pthread_create.c")];
    assert_eq!(first_own(&thread), 1);
    assert_eq!(first_own(&[("malloc", ""), ("alloc::vec::Vec<T>::push", ""), ("core::ops::call", "")]), 1);
    assert_eq!(first_own(&[("malloc", ""), ("__libc_start_main", "")]), 1);
    assert_eq!(first_own(&[("malloc", "")]), 1);
    assert_eq!(first_own(&[]), 0);
}

#[test]
fn a_function_called_clone_starts_no_program() {
    let clone = Frame { inlined: true, ..frame("clone", "/srv/app/src/main.rs") };
    let mut frames =
        [frame("malloc", ""), frame("to_vec", "/rustc/5980761/library/alloc/src/slice.rs"), clone];
    mark(&mut frames);
    assert_eq!(frames.map(|frame| frame.allocator), [true, true, false]);
}

#[test]
fn frames_without_a_name_are_the_programs() {
    let mut frames = vec![frame("malloc", ""), Frame { address: 1, ..Frame::default() }];
    mark(&mut frames);
    assert!(frames[0].allocator && !frames[1].allocator);
}
