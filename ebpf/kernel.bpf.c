/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Kernel mode: which paths through the kernel allocated its own memory that is still live.
 *
 * Three allocators report what they do: slab caches of one type, kmalloc, and the page allocator below both. What the slab
 * allocator takes from the page allocator is seen twice, as pages and as objects; the tracer tells these pages by their stack.
 * Memory that the kernel moves or takes back by itself (programs' pages, page cache, inodes) is left out and counted. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "abi.h"
#include "ledger.bpf.h"
#define TABLE_FLAGS 0
#include "counters.bpf.h"
#include "insert.bpf.h"
#include "target.bpf.h"
#include "sampling.bpf.h"
#include "effort.bpf.h"
#include "ration.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PAGE_SIZE 4096
#define EMPTY_HASH 0x9E3779B97F4A7C15ULL

const volatile __u32 whole_machine = 0;	/* else only what followed processes allocate */
const volatile __u32 own_process = 0;	/* whom never to follow: the tracer, whose own allocations would go round for ever */

/* One stack in the making: interrupts allocate too, so one a CPU is not enough. */
struct trace {
	__u32 busy;
	__u32 pad;
	__u64 hash;
	struct stack stack;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WALKS_PER_CPU);
	__type(key, __u32);
	__type(value, struct trace);
} traces SEC(".maps");

static __always_inline struct trace *claim_trace(void)
{
	for (__u32 i = 0; i < WALKS_PER_CPU; i++) {
		__u32 key = i;
		struct trace *t = bpf_map_lookup_elem(&traces, &key);
		if (t && __sync_val_compare_and_swap(&t->busy, 0, 1) == 0)
			return t;
	}
	return 0;
}

static __always_inline bool is_followed(void)
{
	ledger_add(LEDGER_MACHINE_EVENTS, 1);
	if (!whole_machine)
		return current_target();
	if (current_process() != own_process)
		return true;
	ledger_add(LEDGER_OWN_EVENTS, 1);
	return false;
}

static __always_inline void trace_stack(struct trace *t, void *ctx, __u32 event)
{
	long bytes = bpf_get_stack(ctx, t->stack.address, sizeof(t->stack.address), 0);
	__u32 length = bytes > 0 ? (__u32)bytes / 8 : 0;
	__u64 hash = EMPTY_HASH ^ event;

	for (__u32 i = 0; i < MAX_FRAMES && i < length; i++) {
		hash = (hash ^ t->stack.address[i]) * EMPTY_HASH;
		hash ^= hash >> 29;
	}
	t->hash = hash;
	t->stack.length = length;
	t->stack.process = KERNEL_STACK;
	t->stack.end = bytes < 0 ? WALK_UNREADABLE : length == MAX_FRAMES ? WALK_TRUNCATED : WALK_COMPLETE;
	t->stack.hook = event;
	if (t->stack.end != WALK_COMPLETE)
		ledger_add(LEDGER_WALKS_COMPLETE + t->stack.end, 1);
}

/* What a tracepoint said of an allocation. */
struct allocation {
	__u64 address;
	__u64 size;
	__u32 event;		/* enum kernel_event */
	__u32 shift;		/* as in struct block */
};

static __always_inline bool is_wanted(struct allocation *a)
{
	if (!a->address) {
		ledger_add(LEDGER_FAILED_ALLOCATIONS, 1);
		return false;
	}
	if (a->size < min_size) {
		ledger_add(LEDGER_SMALL_ALLOCATIONS, 1);
		return false;
	}
	if (a->shift && !is_drawn(a->size, a->shift)) {
		ledger_add(LEDGER_UNSAMPLED_ALLOCATIONS, 1);
		return false;
	}
	return is_affordable();
}

static __always_inline void follow(void *ctx, struct allocation *a)
{
	struct trace *t = claim_trace();
	if (!t) {
		ledger_add(LEDGER_WALKS_BUSY, 1);
		return;
	}
	trace_stack(t, ctx, a->event);
	insert_block(a->address, a->size, a->shift, t->hash, &t->stack);
	__sync_val_compare_and_swap(&t->busy, 1, 0);
}

/* The end of each program that sees an allocation, whose stopwatch runs since its beginning. */
static __always_inline int settle(void *ctx, struct stopwatch *stopwatch, bool stays, struct allocation *a)
{
	bool wanted = stays && is_wanted(a);

	end_effort(stopwatch);
	if (!wanted)
		return 0;
	*stopwatch = begin_effort(EFFORT_RETURN);
	follow(ctx, a);
	end_effort(stopwatch);
	return 0;
}

/* Frees by anyone count. Without the whole machine most are of blocks that were never followed. */
static __always_inline int freed(__u64 address, bool known_kind)
{
	struct block_key key = { .address = address };
	struct block *found = bpf_map_lookup_elem(&blocks, &key);

	ledger_add(LEDGER_MACHINE_EVENTS, 1);
	if (!found && !whole_machine)
		return 0;
	struct stopwatch stopwatch = begin_effort(EFFORT_FREE);
	if (found)
		remove_block(&key, found);
	else if (known_kind && address)
		ledger_add(LEDGER_UNMATCHED_FREES, 1);
	end_effort(&stopwatch);
	return 0;
}

static __always_inline bool is_reclaimable(__u32 flags)
{
	if (!(flags & (GFP_RECLAIMABLE | GFP_MOVABLE)))
		return false;
	ledger_add(LEDGER_RECLAIMABLE, 1);
	return true;
}

/* call site, pointer, bytes asked for, bytes given, flags, node */
SEC("raw_tp/kmalloc")
int kernel_kmalloc(__u64 *ctx)
{
	if (!is_followed())
		return 0;
	struct stopwatch stopwatch = begin_effort(EFFORT_CALL);
	struct allocation a = { .address = ctx[1], .size = ctx[3], .event = KERNEL_KMALLOC, .shift = sample_shift() };

	return settle(ctx, &stopwatch, !is_reclaimable(ctx[4]), &a);
}

/* call site, pointer, cache, flags, node */
SEC("raw_tp/kmem_cache_alloc")
int kernel_cache_alloc(__u64 *ctx)
{
	struct kmem_cache *cache = (struct kmem_cache *)ctx[2];

	if (!is_followed())
		return 0;
	struct stopwatch stopwatch = begin_effort(EFFORT_CALL);
	struct allocation a = {
		.address = ctx[1],
		.size = BPF_CORE_READ(cache, size),
		.event = KERNEL_CACHE,
		.shift = sample_shift(),
	};

	return settle(ctx, &stopwatch, !is_reclaimable(BPF_CORE_READ(cache, allocflags)), &a);
}

/* page, order, flags, kind */
SEC("raw_tp/mm_page_alloc")
int kernel_page_alloc(__u64 *ctx)
{
	if (!is_followed())
		return 0;
	struct stopwatch stopwatch = begin_effort(EFFORT_CALL);
	struct allocation a = {
		.address = ctx[0],
		.size = (__u64)PAGE_SIZE << (__u32)ctx[1],
		.event = KERNEL_PAGES,
		.shift = sample_shift(),
	};

	return settle(ctx, &stopwatch, !is_reclaimable(ctx[2]), &a);
}

SEC("raw_tp/kfree")
int kernel_kfree(__u64 *ctx)
{
	return freed(ctx[1], true);
}

SEC("raw_tp/kmem_cache_free")
int kernel_cache_free(__u64 *ctx)
{
	return freed(ctx[1], true);
}

SEC("raw_tp/mm_page_free")
int kernel_page_free(__u64 *ctx)
{
	return freed(ctx[0], false);
}

/* Frees in bulk have no tracepoint. Where the kernel has kprobes, they are seen at the function itself. */
#define MOST_IN_BULK 512

/* cache (0: any), count, pointers */
SEC("kprobe/kmem_cache_free_bulk")
int kernel_free_bulk(struct pt_regs *ctx)
{
	__u64 count = PT_REGS_PARM2(ctx), *pointers = (__u64 *)PT_REGS_PARM3(ctx);

	for (__u32 i = 0; i < MOST_IN_BULK && i < count; i++) {
		__u64 address;
		if (bpf_probe_read_kernel(&address, sizeof(address), pointers + i))
			break;
		freed(address, true);
	}
	return 0;
}
