//! The allocator functions we know, as data: name, and which argument means what.

use std::{collections::HashMap, sync::LazyLock};

use leakhound_ebpf::abi::{Operation, Shape};

/// Which names a function may go by besides its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// C's own names: whoever defines them is the program's malloc.
    Standard,
    /// jemalloc's, which builds often give a prefix: `je_` in C, `_rjem_` in Rust.
    Jemalloc,
    /// mimalloc's.
    Mimalloc,
    /// tcmalloc's.
    Tcmalloc,
    /// C++'s allocation functions, which most libraries build on malloc.
    Cxx,
    /// C's names behind a prefix that the user told.
    Prefixed,
}

/// One function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hook {
    pub(super) name: &'static str,
    pub(super) names: Names,
    pub(super) shape: Shape,
}

const fn shape(operation: Operation, size: u8, count: u8, pointer: u8) -> Shape {
    Shape { operation, size, count, pointer }
}
const fn allocate(size: u8) -> Shape {
    shape(Operation::Allocate, size, 0, 0)
}
const fn allocate_array(count: u8, size: u8) -> Shape {
    shape(Operation::Allocate, size, count, 0)
}
const fn reallocate(pointer: u8, size: u8) -> Shape {
    shape(Operation::Reallocate, size, 0, pointer)
}
const fn reallocate_array(pointer: u8, count: u8, size: u8) -> Shape {
    shape(Operation::Reallocate, size, count, pointer)
}
const fn free(pointer: u8) -> Shape {
    shape(Operation::Free, 0, 0, pointer)
}
/// `int posix_memalign(void **out, size_t alignment, size_t size)`
const MEMALIGN_OUT: Shape = shape(Operation::AllocateOut, 3, 0, 1);

macro_rules! hooks {
    ($($names:ident { $($name:literal: $shape:expr,)* })*) => {
        /// Every function, in the order of their numbers.
        pub(super) const HOOKS: &[Hook] =
            &[$($(Hook { name: $name, names: Names::$names, shape: $shape },)*)*];
    };
}

hooks! {
    Standard {
        "malloc": allocate(1),
        "calloc": allocate_array(1, 2),
        "realloc": reallocate(1, 2),
        "reallocarray": reallocate_array(1, 2, 3),
        "reallocf": reallocate(1, 2),
        "posix_memalign": MEMALIGN_OUT,
        "aligned_alloc": allocate(2),
        "memalign": allocate(2),
        "valloc": allocate(1),
        "pvalloc": allocate(1),
        "free": free(1),
        "cfree": free(1),
        "free_sized": free(1),
        "free_aligned_sized": free(1),
        // what a static glibc or musl calls its malloc when the plain name is another's
        "__libc_malloc": allocate(1),
        "__libc_calloc": allocate_array(1, 2),
        "__libc_realloc": reallocate(1, 2),
        "__libc_memalign": allocate(2),
        "__libc_free": free(1),
    }
    Cxx {
        "_Znwm": allocate(1),
        "_Znam": allocate(1),
        "_ZnwmRKSt9nothrow_t": allocate(1),
        "_ZnamRKSt9nothrow_t": allocate(1),
        "_ZnwmSt11align_val_t": allocate(1),
        "_ZnamSt11align_val_t": allocate(1),
        "_ZnwmSt11align_val_tRKSt9nothrow_t": allocate(1),
        "_ZnamSt11align_val_tRKSt9nothrow_t": allocate(1),
        "_ZdlPv": free(1),
        "_ZdaPv": free(1),
        "_ZdlPvm": free(1),
        "_ZdaPvm": free(1),
        "_ZdlPvRKSt9nothrow_t": free(1),
        "_ZdaPvRKSt9nothrow_t": free(1),
        "_ZdlPvSt11align_val_t": free(1),
        "_ZdaPvSt11align_val_t": free(1),
        "_ZdlPvmSt11align_val_t": free(1),
        "_ZdaPvmSt11align_val_t": free(1),
        "_ZdlPvSt11align_val_tRKSt9nothrow_t": free(1),
        "_ZdaPvSt11align_val_tRKSt9nothrow_t": free(1),
    }
    Jemalloc {
        "mallocx": allocate(1),
        "rallocx": reallocate(1, 2),
        "xallocx": shape(Operation::Resize, 2, 0, 1),
        "sdallocx": free(1),
        "dallocx": free(1),
    }
    Mimalloc {
        "mi_malloc": allocate(1),
        "mi_malloc_small": allocate(1),
        "mi_zalloc": allocate(1),
        "mi_zalloc_small": allocate(1),
        "mi_calloc": allocate_array(1, 2),
        "mi_mallocn": allocate_array(1, 2),
        "mi_malloc_aligned": allocate(1),
        "mi_malloc_aligned_at": allocate(1),
        "mi_zalloc_aligned": allocate(1),
        "mi_zalloc_aligned_at": allocate(1),
        "mi_calloc_aligned": allocate_array(1, 2),
        "mi_calloc_aligned_at": allocate_array(1, 2),
        "mi_memalign": allocate(2),
        "mi_aligned_alloc": allocate(2),
        "mi_valloc": allocate(1),
        "mi_pvalloc": allocate(1),
        "mi_posix_memalign": MEMALIGN_OUT,
        "mi_realloc": reallocate(1, 2),
        "mi_reallocn": reallocate_array(1, 2, 3),
        "mi_reallocf": reallocate(1, 2),
        "mi_reallocarray": reallocate_array(1, 2, 3),
        "mi_rezalloc": reallocate(1, 2),
        "mi_recalloc": reallocate_array(1, 2, 3),
        "mi_realloc_aligned": reallocate(1, 2),
        "mi_realloc_aligned_at": reallocate(1, 2),
        "mi_rezalloc_aligned": reallocate(1, 2),
        "mi_recalloc_aligned": reallocate_array(1, 2, 3),
        "mi_new": allocate(1),
        "mi_new_aligned": allocate(1),
        "mi_new_nothrow": allocate(1),
        "mi_new_aligned_nothrow": allocate(1),
        "mi_new_n": allocate_array(1, 2),
        "mi_new_realloc": reallocate(1, 2),
        "mi_new_reallocn": reallocate_array(1, 2, 3),
        "mi_heap_malloc": allocate(2),
        "mi_heap_malloc_small": allocate(2),
        "mi_heap_zalloc": allocate(2),
        "mi_heap_calloc": allocate_array(2, 3),
        "mi_heap_mallocn": allocate_array(2, 3),
        "mi_heap_malloc_aligned": allocate(2),
        "mi_heap_zalloc_aligned": allocate(2),
        "mi_heap_calloc_aligned": allocate_array(2, 3),
        "mi_heap_realloc": reallocate(2, 3),
        "mi_heap_reallocn": reallocate_array(2, 3, 4),
        "mi_heap_realloc_aligned": reallocate(2, 3),
        "mi_heap_rezalloc": reallocate(2, 3),
        "mi_heap_recalloc": reallocate_array(2, 3, 4),
        // version 3, as Rust's mimalloc crate builds it: a "theap" is a thread's heap
        "mi_theap_malloc": allocate(2),
        "mi_theap_malloc_small": allocate(2),
        "mi_theap_zalloc": allocate(2),
        "mi_theap_zalloc_small": allocate(2),
        "mi_theap_calloc": allocate_array(2, 3),
        "mi_theap_mallocn": allocate_array(2, 3),
        "mi_theap_malloc_aligned": allocate(2),
        "mi_theap_zalloc_aligned": allocate(2),
        "mi_theap_calloc_aligned": allocate_array(2, 3),
        "mi_theap_realloc": reallocate(2, 3),
        "mi_theap_realloc_aligned": reallocate(2, 3),
        "mi_theap_rezalloc": reallocate(2, 3),
        "mi_free": free(1),
        "mi_cfree": free(1),
        "mi_free_small": free(1),
        "mi_free_size": free(1),
        "mi_free_aligned": free(1),
        "mi_free_size_aligned": free(1),
    }
    Tcmalloc {
        "tc_malloc": allocate(1),
        "tc_calloc": allocate_array(1, 2),
        "tc_realloc": reallocate(1, 2),
        "tc_memalign": allocate(2),
        "tc_posix_memalign": MEMALIGN_OUT,
        "tc_valloc": allocate(1),
        "tc_pvalloc": allocate(1),
        "tc_new": allocate(1),
        "tc_newarray": allocate(1),
        "tc_new_nothrow": allocate(1),
        "tc_newarray_nothrow": allocate(1),
        "tc_new_aligned": allocate(1),
        "tc_newarray_aligned": allocate(1),
        "tc_free": free(1),
        "tc_free_sized": free(1),
        "tc_cfree": free(1),
        "tc_delete": free(1),
        "tc_deletearray": free(1),
        "tc_delete_sized": free(1),
        "tc_deletearray_sized": free(1),
        "tc_delete_nothrow": free(1),
        "tc_deletearray_nothrow": free(1),
        "tc_delete_aligned": free(1),
        "tc_deletearray_aligned": free(1),
    }
}

static BY_NAME: LazyLock<HashMap<&'static str, u16>> = LazyLock::new(|| {
    HOOKS
        .iter()
        .enumerate()
        .filter_map(|(number, hook)| Some((hook.name, u16::try_from(number).ok()?)))
        .collect()
});

/// Prefixes that builds of jemalloc give to all its functions.
const JEMALLOC_PREFIXES: [&str; 2] = ["je_", "_rjem_"];

/// Name of the family whose functions the user told.
pub(super) const PREFIXED: &str = "prefixed";

/// The function of this name, and whose its name alone says that it is.
pub(super) fn find(symbol: &str, prefix: Option<&str>) -> Option<(u16, Names)> {
    if let Some(number) = prefix.and_then(|prefix| symbol.strip_prefix(prefix)).and_then(in_c) {
        return Some((number, Names::Prefixed));
    }
    if let Some(number) = BY_NAME.get(symbol) {
        return Some((*number, HOOKS.get(usize::from(*number))?.names));
    }
    let bare = JEMALLOC_PREFIXES.iter().find_map(|prefix| symbol.strip_prefix(prefix))?;
    Some((in_c(bare)?, Names::Jemalloc))
}

/// A function that goes by one of C's names, or of jemalloc's additions to them.
fn in_c(name: &str) -> Option<u16> {
    let number = *BY_NAME.get(name)?;
    matches!(HOOKS.get(usize::from(number))?.names, Names::Standard | Names::Jemalloc).then_some(number)
}

/// The name of a function by its number.
pub fn hook_name(number: u16) -> &'static str {
    HOOKS.get(usize::from(number)).map_or("an allocator function", |hook| match hook.name {
        "_Znwm" | "_ZnwmRKSt9nothrow_t" | "_ZnwmSt11align_val_t" | "_ZnwmSt11align_val_tRKSt9nothrow_t" => {
            "operator new"
        }
        "_Znam" | "_ZnamRKSt9nothrow_t" | "_ZnamSt11align_val_t" | "_ZnamSt11align_val_tRKSt9nothrow_t" => {
            "operator new[]"
        }
        name => name,
    })
}
