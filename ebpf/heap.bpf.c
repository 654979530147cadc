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
#include "counters.bpf.h"
#include "unwind.bpf.h"

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

/* kfuncs, called through helper numbers that do not exist: the loader puts the kernel's own ids in. */
static bool (*session_is_return)(void) = (void *)100001;
static __u64 *(*session_cookie)(void) = (void *)100002;

/* The barriers keep clang from choosing an offset into the context first, which the verifier refuses. */
static __always_inline __u64 argument(struct pt_regs *ctx, __u32 number)
{
	__u64 value = 0;

	if (number == 1) {
		value = PT_REGS_PARM1(ctx);
		barrier_var(value);
	} else if (number == 2) {
		value = PT_REGS_PARM2(ctx);
		barrier_var(value);
	} else if (number == 3) {
		value = PT_REGS_PARM3(ctx);
		barrier_var(value);
	} else if (number == 4) {
		value = PT_REGS_PARM4(ctx);
		barrier_var(value);
	}
	return value;
}

static __always_inline __u64 requested_size(struct pt_regs *ctx, __u64 cookie)
{
	__u64 size = argument(ctx, COOKIE_SIZE_ARGUMENT(cookie));
	__u32 counted = COOKIE_COUNT_ARGUMENT(cookie);

	if (!counted)
		return size;
	__u64 count = argument(ctx, counted);
	__u64 most = count ? ~0ULL / count : ~0ULL;
	barrier_var(most); /* else clang turns the check into a 128-bit product, which BPF lacks */
	return size > most ? 0 : size * count; /* on overflow the allocator refuses */
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
		if (c) {
			__sync_fetch_and_add(&c->allocated_bytes, -old.size);
			__sync_fetch_and_add(&c->allocated_count, -1ULL);
		}
		ledger_add(LEDGER_NESTED_CALLS, 1);
		/* Its walk ended at the outer probe's return trampoline, which is no loss. */
		struct stack *walked = bpf_map_lookup_elem(&stacks, &old.stack);
		if (walked && walked->end != WALK_COMPLETE)
			ledger_add(LEDGER_WALKS_COMPLETE + walked->end, -1ULL);
	} else {
		count_free(&old);
		ledger_add(LEDGER_MISSED_FREES, 1);
	}
}

/* A block as its allocator returned it. */
struct allocation {
	__u64 address;
	__u64 size;
	__u32 entered;		/* when the call began: see CALL_TIME_MASK */
};

static __always_inline void insert_block(struct pt_regs *ctx, __u64 cookie, struct allocation *a, struct walk *w)
{
	if (walk_stack(w, ctx, COOKIE_PROCESS(cookie), COOKIE_HOOK(cookie)))
		return;

	__u64 now = bpf_ktime_get_ns();
	struct block block = {
		.size = a->size,
		.stack = w->hash,
		.allocated_ns = now,
		.cohort = cohort_of(now),
		.tid = bpf_get_current_pid_tgid(),
	};
	struct counter_key counter_key = { .stack = block.stack, .cohort = block.cohort };
	struct counters *c = find_counters(&counter_key, &w->stack);
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
	__sync_fetch_and_add(&c->allocated_bytes, a->size);
	__sync_fetch_and_add(&c->allocated_count, 1);
}

static __always_inline void record_allocation(struct pt_regs *ctx, __u64 cookie, struct allocation *a)
{
	if (!a->address) {
		ledger_add(LEDGER_FAILED_ALLOCATIONS, 1);
		return;
	}
	if (a->size < min_size) {
		ledger_add(LEDGER_SMALL_ALLOCATIONS, 1);
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

static __always_inline void remember_call(struct pt_regs *ctx, __u64 cookie, __u64 size)
{
	struct call_key key = { .tid = bpf_get_current_pid_tgid(), .hook = COOKIE_HOOK(cookie) };
	struct call call = { .size = size, .entered = bpf_jiffies64() & CALL_TIME_MASK };
	__u32 operation = COOKIE_OPERATION(cookie);

	call.pointer = argument(ctx, COOKIE_POINTER_ARGUMENT(cookie));
	/* The old block leaves now: once the allocator has freed it, another thread may get its address before we see
	 * this call return. */
	if (operation == OP_REALLOCATE || operation == OP_RESIZE)
		call.had_old = !take_block(cookie, call.pointer, &call.old);
	if (bpf_map_update_elem(&calls, &key, &call, BPF_ANY)) {
		ledger_add(LEDGER_CALLS_FULL, 1);
		if (call.had_old)
			count_free(&call.old);
	}
}

static __always_inline void keep_old_block(__u64 cookie, struct call *call)
{
	struct block_key key = { .address = call->pointer, .process = COOKIE_PROCESS(cookie) };

	if (call->had_old && bpf_map_update_elem(&blocks, &key, &call->old, BPF_ANY)) {
		ledger_add(LEDGER_BLOCKS_FULL, 1);
		count_free(&call->old);
	}
}

/* What a returning call did to its old block, and whether it made a new one. */
static __always_inline bool settle_call(struct pt_regs *ctx, __u64 cookie, struct call *call, struct allocation *a)
{
	__u64 result = PT_REGS_RC(ctx);

	a->address = result;
	a->size = call->size;
	a->entered = call->entered;
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
			count_free(&call->old);
		return result;
	case OP_RESIZE:
		if (call->had_old && result == call->old.size) {
			keep_old_block(cookie, call);
			return false;
		}
		if (call->had_old)
			count_free(&call->old);
		a->address = call->pointer;
		a->size = result;
		return true;
	default:
		return true;
	}
}

static __always_inline bool take_call(__u64 cookie, struct call *call)
{
	struct call_key key = { .tid = bpf_get_current_pid_tgid(), .hook = COOKIE_HOOK(cookie) };
	struct call *found = bpf_map_lookup_elem(&calls, &key);

	if (!found) {
		ledger_add(LEDGER_RETURNS_UNMATCHED, 1);
		return false;
	}
	*call = *found;
	bpf_map_delete_elem(&calls, &key);
	return true;
}

/* What a plain allocation leaves for its return fits the session's own 8 bytes: the size, and when it began. Larger sizes
 * go the long way. */
#define KEPT_SIZE_BITS 40
#define KEPT_SIZE_MASK ((1ULL << KEPT_SIZE_BITS) - 1)
#define KEPT_ELSEWHERE (~0ULL)

/* Both ends in one program. */
SEC("uprobe")
int heap_session(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u64 *kept = session_cookie();

	if (!session_is_return()) {
		__u64 size = requested_size(ctx, cookie);
		if (COOKIE_OPERATION(cookie) != OP_ALLOCATE || size >= KEPT_SIZE_MASK) {
			*kept = KEPT_ELSEWHERE;
			remember_call(ctx, cookie, size);
			return 0;
		}
		*kept = bpf_jiffies64() << KEPT_SIZE_BITS | size;
		if (size >= min_size)
			return 0;
		ledger_add(LEDGER_SMALL_ALLOCATIONS, 1);
		return 1; /* no need to see it return */
	}
	struct allocation a = { .address = PT_REGS_RC(ctx) };
	if (*kept == KEPT_ELSEWHERE) {
		struct call call;
		if (!take_call(cookie, &call) || !settle_call(ctx, cookie, &call, &a))
			return 0;
	} else {
		a.size = *kept & KEPT_SIZE_MASK;
		a.entered = *kept >> KEPT_SIZE_BITS;
	}
	record_allocation(ctx, cookie, &a);
	return 0;
}

/* The same for kernels without sessions. */
SEC("uprobe")
int heap_entry(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);

	remember_call(ctx, cookie, requested_size(ctx, cookie));
	return 0;
}

SEC("uretprobe")
int heap_return(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	struct allocation a;
	struct call call;

	if (take_call(cookie, &call) && settle_call(ctx, cookie, &call, &a))
		record_allocation(ctx, cookie, &a);
	return 0;
}

SEC("uprobe")
int heap_free(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u64 address = argument(ctx, COOKIE_POINTER_ARGUMENT(cookie));
	struct block block;

	if (!address)
		return 0;
	if (take_block(cookie, address, &block))
		ledger_add(LEDGER_UNMATCHED_FREES, 1);
	else
		count_free(&block);
	return 0;
}
