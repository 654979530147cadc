/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Growth mode: which stacks made a program's memory grow, whatever allocator it has.
 *
 * Memory grows when a program touches a page that it did not have: the kernel then takes one from its page allocator, in the
 * context of that program. So a "block" here is a page of the program's own memory, its stack is what the program was doing,
 * and it is freed when the kernel gets the page back (munmap, a heap that shrinks, swapping). No probe is in the program. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "abi.h"
#include "ledger.bpf.h"
#include "counters.bpf.h"
#include "insert.bpf.h"
#include "target.bpf.h"
#include "unwind.bpf.h"
#include "effort.bpf.h"
#include "ration.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Pages of a transparent huge page. The kernel's page descriptors lie in one array that begins at a multiple of its size in
 * descriptors, so that the descriptor of a huge page's first page is found by rounding down. */
#define HUGE_ORDER 9
#define HUGE_PAGES (1U << HUGE_ORDER)

/* How many huge pages were recorded: while there is none, no free needs a second look. */
__u64 huge_pages = 0;

/* Fresh memory of a program: zeroed and movable (do_anonymous_page), or a huge page (vma_thp_gfp_mask). The page cache is
 * movable but not zeroed, page tables are zeroed but not movable. Copies after fork are neither and are not followed. */
static __always_inline bool is_fresh_memory(__u32 flags, __u32 order)
{
	if (!(flags & GFP_MOVABLE) || !(flags & GFP_HIGHMEM))
		return false;
	return (flags & GFP_ZERO) || (order == HUGE_ORDER && (flags & GFP_NOMEMALLOC));
}

static __always_inline bool is_wanted(__u32 order)
{
	if ((__u64)PAGE_SIZE << order < min_size) {
		ledger_add(LEDGER_SMALL_ALLOCATIONS, 1);
		return false;
	}
	return is_affordable();
}

static __always_inline void follow(__u64 page, __u32 order, __u32 process)
{
	struct walk *w = claim_walk();
	if (!w) {
		ledger_add(LEDGER_WALKS_BUSY, 1);
		return;
	}
	/* The program's registers when it entered the kernel: the instruction that touched the page, or its system call. */
	struct pt_regs *registers = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	if (!walk_stack(w, registers, process, NO_HOOK, true) &&
	    insert_block(page, (__u64)PAGE_SIZE << order, 0, w->hash, &w->stack) && order == HUGE_ORDER)
		__sync_fetch_and_add(&huge_pages, 1);
	release_walk(w);
}

/* page, order, flags, kind */
SEC("raw_tp/mm_page_alloc")
int growth_allocated(__u64 *ctx)
{
	__u64 page = ctx[0];
	__u32 order = ctx[1], flags = ctx[2], *process;

	ledger_add(LEDGER_MACHINE_EVENTS, 1);
	if (!is_fresh_memory(flags, order) || !page)
		return 0;
	process = current_target();
	if (!process)
		return 0;
	struct stopwatch stopwatch = begin_effort(EFFORT_CALL);
	bool wanted = is_wanted(order);
	end_effort(&stopwatch);
	if (!wanted)
		return 0;
	stopwatch = begin_effort(EFFORT_RETURN);
	follow(page, order, *process);
	end_effort(&stopwatch);
	return 0;
}

/* The program is ending and all its memory with it: that says nothing about what it held. */
static __always_inline bool is_ending(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return (BPF_CORE_READ(task, flags) & PF_EXITING) && current_target();
}

/* A huge page can come back in parts: then only these leave. */
static __always_inline void free_part(__u64 page, __u64 size)
{
	__u64 descriptors = HUGE_PAGES * bpf_core_type_size(struct page);
	struct block_key key = { .address = page & ~(descriptors - 1) };
	struct block *huge = bpf_map_lookup_elem(&blocks, &key);

	if (!huge || huge->size <= PAGE_SIZE || is_ending())
		return;
	struct counter_key counter_key = { .stack = huge->stack, .cohort = huge->cohort };
	struct counters *c = bpf_map_lookup_elem(&counters, &counter_key);
	__u64 before = __sync_fetch_and_add(&huge->size, -size);
	if (c)
		__sync_fetch_and_add(&c->freed.bytes, size);
	if (before > size)
		return;
	if (c)
		__sync_fetch_and_add(&c->freed.count, 1);
	if (bpf_map_delete_elem(&blocks, &key))
		ledger_add(LEDGER_FREES_LOST, 1);
}

/* page, order */
SEC("raw_tp/mm_page_free")
int growth_freed(__u64 *ctx)
{
	__u64 size = (__u64)PAGE_SIZE << (__u32)ctx[1];
	struct block_key key = { .address = ctx[0] };
	struct block *found = bpf_map_lookup_elem(&blocks, &key);

	ledger_add(LEDGER_MACHINE_EVENTS, 1);
	if (!found || found->size > size) {
		if (huge_pages && size < (__u64)PAGE_SIZE << HUGE_ORDER)
			free_part(key.address, size);
		return 0;
	}
	struct stopwatch stopwatch = begin_effort(EFFORT_FREE);
	if (is_ending())
		bpf_map_delete_elem(&blocks, &key); /* its page can go to somebody else now, but the sums stay */
	else
		remove_block(&key, found);
	end_effort(&stopwatch);
	return 0;
}
