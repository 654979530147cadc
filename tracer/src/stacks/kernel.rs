//! What is special about stacks of the kernel.

use leakhound_ebpf::abi::Stack;
use leakhound_report::recording::Frame;

/// Addresses inside the calling instructions, innermost first.
pub(super) fn callers(stack: Option<&Stack>) -> Vec<u64> {
    let addresses = stack.map_or(&[][..], |stack| {
        let length = (stack.length as usize).min(stack.address.len());
        &stack.address[..length]
    });
    addresses.iter().map(|address| address.saturating_sub(1)).collect()
}

/// What lies between an allocator and our own program. Programs have no names unless the kernel shows them.
pub(super) fn is_tracing(frame: &Frame) -> bool {
    const STARTS: [&str; 4] = ["bpf_", "__bpf_", "__traceiter_", "__probestub_"];
    frame.function.as_deref().is_none_or(|name| STARTS.iter().any(|start| name.starts_with(start)))
}

/// Whether the page allocator was called by the slab allocator, for its caches or for one large kmalloc (mm/slub.c).
pub(super) fn is_refill(frames: &[Frame]) -> bool {
    const TAKERS: [&str; 5] = ["allocate_slab", "new_slab", "slab_alloc", "alloc_slab_page", "kmalloc_large"];
    /// The page allocator's own frames lie in front.
    const DEPTH: usize = 8;
    let mut names = frames.iter().take(DEPTH).filter_map(|frame| frame.function.as_deref());
    names.any(|name| TAKERS.iter().any(|taker| name.trim_start_matches('_').starts_with(taker)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(names: &[&str]) -> Vec<Frame> {
        let frame = |name: &&str| Frame { function: Some((*name).to_owned()), ..Frame::default() };
        names.iter().map(frame).collect()
    }

    #[test]
    fn pages_for_slabs_are_told_from_pages_for_others() {
        for (names, refill) in [
            (&["alloc_pages_mpol", "allocate_slab", "___slab_alloc", "kmem_cache_alloc_noprof"][..], true),
            (&["__alloc_pages", "new_slab", "___slab_alloc", "__kmalloc"], true),
            (&["__alloc_frozen_pages_noprof", "___kmalloc_large_node", "__kmalloc_noprof", "f"], true),
            (&["alloc_pages_noprof", "pipe_write", "vfs_write"], false),
            (&["alloc_pages_noprof", "__vmalloc_node_range_noprof"], false),
            (&[], false),
        ] {
            assert_eq!(is_refill(&frames(names)), refill, "{names:?}");
        }
    }

    #[test]
    fn our_own_programs_are_no_part_of_a_stack() {
        let all = frames(&["bpf_trace_run6", "__traceiter_kmalloc", "__kmalloc_noprof", "bpf_map_alloc"]);
        let rest: Vec<_> = all.into_iter().skip_while(is_tracing).collect();
        assert_eq!(rest.len(), 2);
    }
}
