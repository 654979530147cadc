/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Heap mode: which stacks allocated the memory that is still live.
 *
 * A block is inserted when an allocator function returns, and removed when it is freed; counters per (stack, cohort)
 * follow both, so a snapshot reads counters and never walks the blocks. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "abi.h"
#include "ledger.bpf.h"
#include "arguments.bpf.h"
#include "counters.bpf.h"
#include "unwind.bpf.h"
#include "sampling.bpf.h"
#include "effort.bpf.h"
#include "ration.bpf.h"
#include "stream.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* When a call began is kept in 24 bits of jiffies: a clock that costs nothing to read, and exact enough to tell a block
 * that the call itself recorded from one that was there before. A jiffy is 10 ms at the most. */
#define CALL_TIME_MASK ((1U << 24) - 1)
#define LONGEST_JIFFY_NS 10000000ULL

/* Calls between entry and return: one per thread and nesting level. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct call_key);
	__type(value, struct call);
} calls SEC(".maps");

/* A block that was taken out is freed. */
static __always_inline void end_block(__u64 address, __u32 process, struct block *block)
{
	struct block_key key = { .address = address, .process = process };

	count_free(block);
	stream_block(&key, block);
}

/* The address was live already. Either an inner allocator function of the same call has just recorded it: then that
 * record is undone. Or its free was not seen: then it counts as freed now. */
static __always_inline void settle_old_block(struct block_key *key, struct block *new, __u32 entered)
{
	struct block *found = bpf_map_lookup_elem(&blocks, key);
	if (!found)
		return;
	struct block old = *found;

	/* A moment not after the call began. */
	__u64 elapsed = (bpf_jiffies64() - entered) & CALL_TIME_MASK;
	__u64 entered_ns = new->allocated_ns - (elapsed + 1) * LONGEST_JIFFY_NS;

	if (old.tid == new->tid && old.allocated_ns >= entered_ns) {
		struct counter_key inner = { .stack = old.stack, .cohort = old.cohort };
		struct counters *c = bpf_map_lookup_elem(&counters, &inner);
		if (c)
			count_block(&c->allocated, old.size, old.shift, -1ULL);
		ledger_add(LEDGER_NESTED_CALLS, 1);
		/* Its walk ended at the outer probe's return trampoline, which is no loss. */
		struct stack *walked = bpf_map_lookup_elem(&stacks, &old.stack);
		if (walked && walked->end != WALK_COMPLETE)
			ledger_add(LEDGER_WALKS_COMPLETE + walked->end, -1ULL);
	} else {
		end_block(key->address, key->process, &old);
		ledger_add(LEDGER_MISSED_FREES, 1);
	}
}

/* A block as its allocator returned it. */
struct allocation {
	__u64 address;
	__u64 size;
	__u32 entered;		/* when the call began: see CALL_TIME_MASK */
	__u32 shift;		/* as in struct block */
};

static __always_inline void insert_block(struct pt_regs *ctx, __u64 cookie, struct allocation *a, struct walk *w)
{
	if (walk_stack(w, ctx, COOKIE_PROCESS(cookie), COOKIE_HOOK(cookie), false))
		return;

	__u64 now = bpf_ktime_get_ns();
	struct block block = {
		.size = a->size,
		.stack = w->hash,
		.allocated_ns = now,
		.cohort = cohort_of(now),
		.shift = a->shift,
		.tid = bpf_get_current_pid_tgid(),
	};
	struct counter_key counter_key = { .stack = block.stack, .cohort = block.cohort };
	struct counters *c = find_counters(&counter_key, w->recalled ? 0 : &w->stack);
	keep_walk(w);
	if (!c) {
		ledger_add(LEDGER_COUNTERS_FULL, 1);
		return;
	}
	struct block_key key = { .address = a->address, .process = COOKIE_PROCESS(cookie) };
	long error = bpf_map_update_elem(&blocks, &key, &block, BPF_NOEXIST);
	if (error == -EEXIST) {
		settle_old_block(&key, &block, a->entered);
		error = bpf_map_update_elem(&blocks, &key, &block, BPF_ANY);
	}
	if (error) {
		ledger_add(LEDGER_BLOCKS_FULL, 1);
		return;
	}
	count_block(&c->allocated, a->size, a->shift, 1);
}

static __always_inline void record_allocation(struct pt_regs *ctx, __u64 cookie, struct allocation *a)
{
	if (!a->address) {
		ledger_add(LEDGER_FAILED_ALLOCATIONS, 1);
		return;
	}
	struct walk *w = claim_walk();
	if (!w) {
		ledger_add(LEDGER_WALKS_BUSY, 1);
		return;
	}
	insert_block(ctx, cookie, a, w);
	release_walk(w);
}

/* Takes a block out. The delete decides who gets it when two threads race. */
static __always_inline int take_block(__u64 cookie, __u64 address, struct block *block)
{
	struct block_key key = { .address = address, .process = COOKIE_PROCESS(cookie) };
	struct block *found = bpf_map_lookup_elem(&blocks, &key);

	if (!found)
		return -1;
	*block = *found;
	return bpf_map_delete_elem(&blocks, &key);
}

/* Whether a block of this size is followed, drawn with this period. */
static __always_inline bool is_followed(struct pt_regs *ctx, __u64 cookie, __u64 size, __u32 shift)
{
	if (size < min_size) {
		ledger_add(LEDGER_SMALL_ALLOCATIONS, 1);
		return false;
	}
	if (shift && !is_sampled(ctx, COOKIE_HOOK(cookie), size, shift)) {
		ledger_add(LEDGER_UNSAMPLED_ALLOCATIONS, 1);
		return false;
	}
	return is_affordable();
}

/* Keeps what the return needs to know. Returns false when nobody has to see it return. */
static __always_inline bool remember_call(struct pt_regs *ctx, __u64 cookie, __u64 size, __u32 shift)
{
	struct call_key key = { .tid = bpf_get_current_pid_tgid(), .hook = COOKIE_HOOK(cookie) };
	struct call call = { .size = size, .entered = bpf_jiffies64() & CALL_TIME_MASK, .shift = shift };
	__u32 operation = COOKIE_OPERATION(cookie);

	call.pointer = argument(ctx, COOKIE_POINTER_ARGUMENT(cookie));
	/* The old block leaves now: once the allocator has freed it, another thread may get its address before we see
	 * this call return. */
	if (operation == OP_REALLOCATE || operation == OP_RESIZE)
		call.had_old = !take_block(cookie, call.pointer, &call.old);
	/* a resized block's size is known at the return only */
	if (operation != OP_RESIZE && !is_followed(ctx, cookie, size, shift)) {
		if (!call.had_old)
			return false;
		call.shift = NOT_FOLLOWED;
	}
	if (bpf_map_update_elem(&calls, &key, &call, BPF_ANY)) {
		ledger_add(LEDGER_CALLS_FULL, 1);
		if (call.had_old)
			end_block(call.pointer, COOKIE_PROCESS(cookie), &call.old);
		return false;
	}
	return true;
}

static __always_inline void keep_old_block(__u64 cookie, struct call *call)
{
	struct block_key key = { .address = call->pointer, .process = COOKIE_PROCESS(cookie) };

	if (call->had_old && bpf_map_update_elem(&blocks, &key, &call->old, BPF_ANY)) {
		ledger_add(LEDGER_BLOCKS_FULL, 1);
		end_block(call->pointer, COOKIE_PROCESS(cookie), &call->old);
	}
}

/* What a returning call did to its old block, and whether it made a new one. */
static __always_inline bool settle_call(struct pt_regs *ctx, __u64 cookie, struct call *call, struct allocation *a)
{
	__u64 result = PT_REGS_RC(ctx);

	a->address = result;
	a->size = call->size;
	a->entered = call->entered;
	a->shift = call->shift;
	switch (COOKIE_OPERATION(cookie)) {
	case OP_ALLOCATE_OUT:
		a->address = 0;
		if (!(__u32)result && bpf_probe_read_user(&a->address, sizeof(a->address), (void *)call->pointer)) {
			ledger_add(LEDGER_UNREADABLE_OUT, 1);
			return false;
		}
		return true;
	case OP_REALLOCATE:
		if (!result && call->size) {
			keep_old_block(cookie, call);
			return true; /* counted as failed */
		}
		if (call->had_old)
			end_block(call->pointer, COOKIE_PROCESS(cookie), &call->old);
		return result && call->shift != NOT_FOLLOWED;
	case OP_RESIZE:
		if (call->had_old && result == call->old.size) {
			keep_old_block(cookie, call);
			return false;
		}
		if (call->had_old)
			end_block(call->pointer, COOKIE_PROCESS(cookie), &call->old);
		a->address = call->pointer;
		a->size = result;
		return is_followed(ctx, cookie, result, call->shift);
	default:
		return true;
	}
}

static __always_inline bool take_call(__u64 cookie, struct call *call)
{
	struct call_key key = { .tid = bpf_get_current_pid_tgid(), .hook = COOKIE_HOOK(cookie) };
	struct call *found = bpf_map_lookup_elem(&calls, &key);

	if (!found) {
		/* without sessions, calls that are not followed are seen returning as well */
		if (!min_size && !sample_shift())
			ledger_add(LEDGER_RETURNS_UNMATCHED, 1);
		return false;
	}
	*call = *found;
	bpf_map_delete_elem(&calls, &key);
	return true;
}

/* What a plain allocation leaves for its return fits the session's own 8 bytes: when it began, the period it was drawn
 * with, its size. Larger sizes go the long way. */
#define KEPT_SIZE_BITS 35
#define KEPT_SIZE_MASK ((1ULL << KEPT_SIZE_BITS) - 1)
#define KEPT_SHIFT_MASK 31
#define KEPT_TIME_BIT 40
#define KEPT_ELSEWHERE (~0ULL)

/* kfuncs, called through helper numbers that do not exist: the loader puts the kernel's own ids in. */
static bool (*session_is_return)(void) = (void *)100001;
static __u64 *(*session_cookie)(void) = (void *)100002;

static __always_inline int see_call(struct pt_regs *ctx, __u64 cookie, __u64 *kept)
{
	__u64 size = requested_size(ctx, cookie);
	__u32 shift = sample_shift() & KEPT_SHIFT_MASK;

	if (COOKIE_OPERATION(cookie) != OP_ALLOCATE || size >= KEPT_SIZE_MASK) {
		*kept = KEPT_ELSEWHERE;
		return !remember_call(ctx, cookie, size, shift);
	}
	*kept = bpf_jiffies64() << KEPT_TIME_BIT | (__u64)shift << KEPT_SIZE_BITS | size;
	return !is_followed(ctx, cookie, size, shift); /* 1: no need to see it return */
}

static __always_inline void see_return(struct pt_regs *ctx, __u64 cookie, __u64 kept)
{
	struct allocation a = { .address = PT_REGS_RC(ctx) };

	if (kept == KEPT_ELSEWHERE) {
		struct call call;
		if (!take_call(cookie, &call) || !settle_call(ctx, cookie, &call, &a))
			return;
	} else {
		a.size = kept & KEPT_SIZE_MASK;
		a.shift = kept >> KEPT_SIZE_BITS & KEPT_SHIFT_MASK;
		a.entered = kept >> KEPT_TIME_BIT;
	}
	record_allocation(ctx, cookie, &a);
}

static __always_inline __u32 effort_kind(enum effort_kind kind, __u64 cookie)
{
	return kind + EFFORT_STEPPED * COOKIE_STEPPED(cookie);
}

/* Both ends in one program. */
SEC("uprobe")
int heap_session(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u64 *kept = session_cookie();
	bool returns = session_is_return();
	struct stopwatch stopwatch = begin_effort(returns ? EFFORT_RETURN : effort_kind(EFFORT_CALL, cookie));
	int skip_return = 0;

	if (returns)
		see_return(ctx, cookie, *kept);
	else
		skip_return = see_call(ctx, cookie, kept);
	end_effort(&stopwatch);
	return skip_return;
}

/* The same for kernels without sessions. */
SEC("uprobe")
int heap_entry(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct stopwatch stopwatch = begin_effort(effort_kind(EFFORT_CALL, cookie));

	remember_call(ctx, cookie, requested_size(ctx, cookie), sample_shift());
	end_effort(&stopwatch);
	return 0;
}

SEC("uretprobe")
int heap_return(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct stopwatch stopwatch = begin_effort(EFFORT_RETURN);

	see_return(ctx, cookie, KEPT_ELSEWHERE);
	end_effort(&stopwatch);
	return 0;
}

SEC("uprobe")
int heap_free(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct stopwatch stopwatch = begin_effort(effort_kind(EFFORT_FREE, cookie));
	__u64 address = argument(ctx, COOKIE_POINTER_ARGUMENT(cookie));
	struct block block;

	if (address && take_block(cookie, address, &block))
		ledger_add(LEDGER_UNMATCHED_FREES, 1);
	else if (address)
		end_block(address, COOKIE_PROCESS(cookie), &block);
	end_effort(&stopwatch);
	return 0;
}
