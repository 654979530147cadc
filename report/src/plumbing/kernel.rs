//! The kernel's own allocators: page, slab, vmalloc and per-CPU (mm/page_alloc.c, mempolicy.c, slub.c, slab_common.c,
//! util.c, vmalloc.c, percpu.c), and the tracing in front of them.

use crate::recording::Frame;

/// Marks the innermost frames of a kernel stack up to the one that asked for memory.
pub fn mark_kernel(frames: &mut [Frame]) {
    let count = frames.iter().take_while(|frame| frame.function.as_deref().is_some_and(is_allocator)).count();
    if count < frames.len() {
        frames.iter_mut().take(count).for_each(|frame| frame.allocator = true);
    }
}

fn is_allocator(name: &str) -> bool {
    // `.isra.0`, `.constprop.0`, `.cold` come from the compiler, `_noprof` from memory allocation profiling (6.10)
    let name = name.split('.').next().unwrap_or(name);
    let name = name.strip_suffix("_noprof").unwrap_or(name);
    let bare = name.trim_start_matches('_');
    EXACT.contains(&bare) || PREFIXES.iter().any(|prefix| bare.starts_with(prefix))
}

/// Names without leading underscores.
const EXACT: [&str; 26] = [
    "get_free_page",
    "get_free_pages",
    "get_page_from_freelist",
    "get_zeroed_page",
    "rmqueue",
    "rmqueue_bulk",
    "allocate_slab",
    "new_slab",
    "new_slab_objects",
    "get_partial_node",
    "refill_objects",
    "refill_sheaf",
    "pcs_replace_empty_main",
    "kmalloc",
    "kzalloc",
    "kcalloc",
    "krealloc",
    "kmemdup",
    "kmemdup_nul",
    "kstrdup",
    "kstrdup_const",
    "kstrndup",
    "kasprintf",
    "kvasprintf",
    "alloc_vmap_area",
    "get_vm_area_node",
];

/// How families of names begin, without leading underscores.
const PREFIXES: [&str; 28] = [
    "alloc_pages",
    "alloc_page_",
    "alloc_frozen_pages",
    "alloc_from_pcs",
    "alloc_full_sheaf",
    "alloc_empty_sheaf",
    "alloc_slab_page",
    "alloc_zeroed_user_highpage",
    "folio_alloc",
    "vma_alloc_folio",
    "vma_alloc_zeroed",
    "filemap_alloc_folio",
    "page_cache_alloc",
    "page_frag_alloc",
    "kmalloc_",
    "kmem_cache_alloc",
    "kmem_cache_zalloc",
    "krealloc_",
    "kvmalloc",
    "kvzalloc",
    "kvrealloc",
    "slab_alloc",
    "slab_post_alloc",
    "vmalloc",
    "vzalloc",
    "alloc_percpu",
    "pcpu_alloc",
    "traceiter_",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn first_asking(names: &[&str]) -> Option<String> {
        let frame = |name: &&str| Frame { function: Some((*name).to_owned()), ..Frame::default() };
        let mut frames: Vec<Frame> = names.iter().map(frame).collect();
        mark_kernel(&mut frames);
        frames.into_iter().find(|frame| !frame.allocator).and_then(|frame| frame.function)
    }

    #[test]
    fn the_asking_function_comes_first() {
        let cases: &[(&[&str], &str)] = &[
            (
                &[
                    "__alloc_frozen_pages_noprof",
                    "alloc_pages_mpol",
                    "vma_alloc_folio_noprof",
                    "do_anonymous_page",
                ],
                "do_anonymous_page",
            ),
            (
                &["__alloc_frozen_pages_noprof", "alloc_pages_mpol", "alloc_pages_noprof", "pte_alloc_one"],
                "pte_alloc_one",
            ),
            (
                &[
                    "alloc_pages_mpol",
                    "allocate_slab",
                    "___slab_alloc",
                    "__slab_alloc.isra.0",
                    "kmem_cache_alloc_lru_noprof",
                    "ext4_alloc_inode",
                ],
                "ext4_alloc_inode",
            ),
            (&["__traceiter_kmem_cache_alloc", "kmem_cache_alloc", "alloc_buffer_head"], "alloc_buffer_head"),
            (&["__kvmalloc_node_noprof", "bpf_prog_alloc_jited_linfo"], "bpf_prog_alloc_jited_linfo"),
            (&["__kmalloc_node_track_caller_noprof", "kmalloc_reserve", "__alloc_skb"], "__alloc_skb"),
            (&["__vmalloc_node_range", "__vmalloc_node", "vmalloc_user", "perf_mmap"], "perf_mmap"),
            (&["pcpu_alloc_noprof", "percpu_counter_init"], "percpu_counter_init"),
        ];
        for (names, first) in cases {
            assert_eq!(first_asking(names).as_deref(), Some(*first), "{names:?}");
        }
    }

    #[test]
    fn a_stack_of_allocators_only_keeps_its_frames() {
        assert_eq!(first_asking(&["kmem_cache_alloc_noprof"]).as_deref(), Some("kmem_cache_alloc_noprof"));
        assert_eq!(first_asking(&[]), None);
    }

    #[test]
    fn frames_without_a_name_are_not_the_allocators() {
        let mut frames = vec![Frame { address: 1, ..Frame::default() }, Frame::default()];
        mark_kernel(&mut frames);
        assert!(!frames[0].allocator);
    }
}
