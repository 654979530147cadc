//! What to turn when an allocator keeps the pages of freed memory, by allocator.

use crate::recording::Allocator;

/// The knob of each family, from its own manual: glibc mallopt(3), mallctl in jemalloc(3), gperftools' tcmalloc.md,
/// mimalloc's environment options.
const KNOBS: &[(&str, &str)] = &[
    (
        "glibc",
        "glibc keeps freed memory in its arenas: try MALLOC_ARENA_MAX=2 in the environment, or call malloc_trim(0) after a peak",
    ),
    (
        "jemalloc",
        "jemalloc keeps freed pages for a while: try MALLOC_CONF=background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0",
    ),
    (
        "tcmalloc",
        "tcmalloc gives pages back slowly: raise TCMALLOC_RELEASE_RATE, or call MallocExtension's ReleaseFreeMemory after a peak",
    ),
    ("mimalloc", "mimalloc gives pages back with a delay: try MIMALLOC_PURGE_DELAY=0"),
    (
        "musl",
        "musl gives back only whole groups of blocks: blocks that live on among freed ones keep their pages",
    ),
];

/// What to try for the allocators found; at least a general word.
pub(super) fn knobs(allocators: &[Allocator]) -> Vec<String> {
    let found = |family: &str| allocators.iter().any(|allocator| allocator.family == family);
    let knobs: Vec<String> =
        KNOBS.iter().filter(|(family, _)| found(family)).map(|(_, knob)| format!("{knob}.")).collect();
    if knobs.is_empty() {
        return vec!["See the allocator's manual for how it gives memory back.".to_owned()];
    }
    knobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_own_knob() {
        let knobs = |families: &[&str]| {
            let allocator =
                |family: &&str| Allocator { family: (*family).to_owned(), ..Allocator::default() };
            super::knobs(&families.iter().map(allocator).collect::<Vec<_>>()).join(" ")
        };
        for (family, knob) in [
            ("glibc", "MALLOC_ARENA_MAX"),
            ("glibc", "malloc_trim"),
            ("jemalloc", "dirty_decay_ms"),
            ("tcmalloc", "TCMALLOC_RELEASE_RATE"),
            ("mimalloc", "MIMALLOC_PURGE_DELAY"),
            ("musl", "groups"),
            ("unknown", "manual"),
        ] {
            assert!(knobs(&[family]).contains(knob), "{family}");
        }
        let both = knobs(&["glibc", "jemalloc"]);
        assert!(both.contains("MALLOC_ARENA_MAX") && both.contains("dirty_decay_ms"));
    }
}
