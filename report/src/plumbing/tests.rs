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
    assert_eq!(first_own(&[("malloc", ""), ("alloc::vec::Vec<T>::push", ""), ("core::ops::call", "")]), 1);
    assert_eq!(first_own(&[("malloc", "")]), 1);
    assert_eq!(first_own(&[]), 0);
}

#[test]
fn frames_without_a_name_are_the_programs() {
    let mut frames = vec![frame("malloc", ""), Frame { address: 1, ..Frame::default() }];
    mark(&mut frames);
    assert!(frames[0].allocator && !frames[1].allocator);
}
