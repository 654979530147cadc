//! Whose code a frame is: the reader of a stack looks for the first line of the program itself.

use crate::{analysis::Frame, function_name::qualified, plumbing::is_library_source, recording::Mode};

/// Whose code a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The program, and libraries that are not part of the language.
    Application,
    /// The allocator itself.
    Allocator,
    /// What the language or the system puts between the program and the allocator, or around `main`.
    Runtime,
}

/// Modules that hold nothing but runtime, by the start of their file name.
const RUNTIME_MODULES: &[&str] = &[
    "libc.so",
    "libc.musl-",
    "libc-",
    "libc++",
    "libstdc++",
    "libgcc_s",
    "libm.so",
    "libpthread",
    "libdl.so",
    "ld-linux",
    "ld-musl",
    "[vdso]",
];

/// Namespaces of the standard libraries, as a qualified name begins with them; the last is that of Go.
const RUNTIME_NAMESPACES: &[&str] =
    &["std::", "core::", "alloc::", "hashbrown::", "__gnu_cxx::", "__cxxabiv1::", "runtime."];

/// Functions that surround `main` or a thread's function, linked into the program itself.
const RUNTIME_FUNCTIONS: &[&str] = &[
    "_start",
    "__libc_start_main",
    "__libc_start_call_main",
    "__libc_start_main_impl",
    "start_thread",
    "clone",
    "clone3",
    "__clone",
    "__clone3",
    "__rust_begin_short_backtrace",
    "_start_c",
    "libc_start_main_stage2",
];

/// Functions of the C library that allocate for their caller. Linked into the program they are in no module of their own, and
/// are told from a program's function of the same name by having no source file.
const C_LIBRARY: &[&str] = &[
    "asprintf",
    "dlopen",
    "fdopen",
    "fopen",
    "fopen64",
    "getaddrinfo",
    "getcwd",
    "getdelim",
    "getline",
    "getpwnam",
    "getpwuid",
    "open_memstream",
    "opendir",
    "popen",
    "pthread_create",
    "qsort",
    "realpath",
    "regcomp",
    "scandir",
    "setenv",
    "setlocale",
    "setvbuf",
    "strdup",
    "strndup",
    "tmpfile",
    "vasprintf",
    "wcsdup",
];

/// Wrappers that programs put around malloc, by the start of their name: Redis, CPython, GLib, GNU and BSD tools.
const ALLOCATION_WRAPPERS: &[&str] = &[
    "zmalloc",
    "zcalloc",
    "zrealloc",
    "ztry",
    "_PyObject_Malloc",
    "_PyObject_Calloc",
    "_PyObject_Realloc",
    "_PyMem_",
    "PyMem_",
    "PyObject_Malloc",
    "PyObject_Calloc",
    "PyObject_Realloc",
    "g_malloc",
    "g_realloc",
    "g_slice_alloc",
    "xmalloc",
    "xcalloc",
    "xrealloc",
    "xstrdup",
];

/// Entries into the kernel: the same above every stack.
const KERNEL_ENTRIES: &[&str] = &[
    "entry_SYSCALL",
    "do_syscall_64",
    "x64_sys_call",
    "asm_",
    "exc_page_fault",
    "do_user_addr_fault",
    "ret_from_fork",
    "kthread",
    "el0",
    "invoke_syscall",
    "do_el0_svc",
];

/// Whose code `function` of `source` in `module` is; `allocator` is the recorder's own word on it.
pub(crate) fn of(function: &str, source: Option<&str>, module: &str, mode: Mode, allocator: bool) -> Origin {
    if allocator {
        return Origin::Allocator;
    }
    if mode == Mode::Kernel {
        let entry = KERNEL_ENTRIES.iter().any(|name| function.starts_with(name));
        return if entry { Origin::Runtime } else { Origin::Application };
    }
    let file = module.rsplit('/').next().unwrap_or(module);
    let name = qualified(function);
    let runtime = RUNTIME_MODULES.iter().any(|start| file.starts_with(start))
        || source.is_some_and(is_library_source)
        || RUNTIME_NAMESPACES.iter().any(|start| name.starts_with(start))
        || ALLOCATION_WRAPPERS.iter().any(|start| name.starts_with(start))
        || RUNTIME_FUNCTIONS.contains(&name)
        || source.is_none() && C_LIBRARY.contains(&name.trim_start_matches('_'));
    if runtime { Origin::Runtime } else { Origin::Application }
}

/// The `main` that Rust's compiler writes around the program's own: it has no source, and starts the runtime.
pub(crate) fn is_entry_of_rust(function: &str, source: Option<&str>, callee: Option<&str>) -> bool {
    function == "main"
        && source.is_none()
        && callee.is_some_and(|callee| callee.starts_with("std::rt::lang_start"))
}

/// Which frames of a stack, innermost first, are the program's own. The first of them names the stack: nobody goes looking for a
/// leak in `strdup`, or for growth in `memset`. In a stack of the kernel it is all but the ways into it.
pub fn own(frames: &[Frame]) -> Vec<bool> {
    let in_kernel = frames.iter().any(|frame| frame.module == "[kernel]");
    let mode = if in_kernel { Mode::Kernel } else { Mode::Heap };
    let callees = std::iter::once(None).chain(frames.iter().map(|frame| Some(&*frame.function)));
    let is_own = |(frame, callee): (&Frame, Option<&str>)| {
        let source = frame.file.as_deref();
        !is_entry_of_rust(&frame.function, source, callee)
            && of(&frame.function, source, &frame.module, mode, false) == Origin::Application
    };
    frames.iter().zip(callees).map(is_own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn application_runtime_and_allocator_are_told_apart() {
        for (function, module, expected) in [
            ("handle_request", "/usr/bin/server", Origin::Application),
            ("std::vector<Session>::push_back(Session const&)", "/usr/bin/server", Origin::Runtime),
            (
                "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(int&&)",
                "/app",
                Origin::Runtime,
            ),
            ("std::string app::make<int>(int)", "/app", Origin::Application),
            ("app::Cache::insert(std::string const&)", "/app", Origin::Application),
            ("app::operator<<(std::ostream&, int)", "/app", Origin::Application),
            ("<alloc::vec::Vec<T,A> as core::iter::Extend<T>>::extend", "/app", Origin::Runtime),
            ("<app::Foo as core::fmt::Display>::fmt", "/app", Origin::Application),
            ("<&mut std::io::Stdout as std::io::Write>::write", "/app", Origin::Runtime),
            ("strdup", "/usr/lib/x86_64-linux-gnu/libc.so.6", Origin::Runtime),
            ("libc.so.6+0x2724a", "/lib/libc.so.6", Origin::Runtime),
            ("__libc_start_main", "/app", Origin::Runtime),
            ("main", "/app", Origin::Application),
            ("libcurl_easy", "/usr/lib/libcurl.so.4", Origin::Application),
            ("", "", Origin::Application),
            ("((((", "", Origin::Application),
            ("\u{202e}é <", "", Origin::Application),
        ] {
            assert_eq!(of(function, None, module, Mode::Heap, false), expected, "{function}");
        }
        let inlined = Some("/rustc/59807616/library/std/src/rt.rs");
        assert_eq!(of("call_once<fn(), ()>", inlined, "/app", Mode::Heap, false), Origin::Runtime);
        assert_eq!(of("anything", None, "/app", Mode::Heap, true), Origin::Allocator);
        assert!(is_entry_of_rust("main", None, Some("std::rt::lang_start::<()>")));
        assert!(
            !is_entry_of_rust("main", None, Some("handle_request")),
            "a C program without debug information"
        );
        assert!(!is_entry_of_rust("main", Some("main.c"), Some("std::rt::lang_start")));
        assert_eq!(of("runtime.mallocgc", None, "/app", Mode::Growth, false), Origin::Runtime);
        assert_eq!(of("main.(*Table).insert", None, "/app", Mode::Growth, false), Origin::Application);
        assert_eq!(of("__strdup", None, "/static", Mode::Heap, false), Origin::Runtime);
        assert_eq!(of("strdup", Some("src/text.c"), "/app", Mode::Heap, false), Origin::Application);
        assert_eq!(of("do_syscall_64", None, "", Mode::Kernel, false), Origin::Runtime);
        assert_eq!(of("do_anonymous_page", None, "", Mode::Kernel, false), Origin::Application);
    }
}
