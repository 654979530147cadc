/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Which allocations are followed when not all are. */
#ifndef LEAKHOUND_SAMPLING_BPF_H
#define LEAKHOUND_SAMPLING_BPF_H

#include "sampling.h"

/* The present period as a power of two in bytes, 0 for every allocation. User space changes it at any time; a block
 * remembers the one that it was drawn with. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} sampling SEC(".maps");

/* The last draw on this CPU. */
struct draw {
	__u32 tid;
	__u32 hook;
	__u64 size;
	__u64 sp;
	__u32 value;
	__u32 shared;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct draw);
} draws SEC(".maps");

/* The stack that an allocator function uses until it calls another one (glibc's realloc jumps to malloc, musl's calloc
 * calls it), and how many lie within one another. */
#define NESTED_STACK 512
#define NESTED_CALLS 2

static __always_inline __u32 sample_shift(void)
{
	__u32 key = 0, *shift = bpf_map_lookup_elem(&sampling, &key);

	return shift ? *shift : 0;
}

/* Whether a block is followed that is seen once only. */
static __always_inline bool is_drawn(__u64 size, __u32 shift)
{
	return bpf_get_prandom_u32() < sample_probability(size, shift);
}

/* Whether this call's block is followed.
 *
 * A block that two allocator functions hand on to one another would be drawn twice, and counted nearly twice as often as
 * it should. An inner call therefore shares the draw of the outer one. What only looks like an inner call shares it
 * as well: its own probability stays what it is, and few in a row do. */
static __always_inline bool is_sampled(struct pt_regs *ctx, __u32 hook, __u64 size, __u32 shift)
{
	__u64 probability = sample_probability(size, shift);
	if (probability >= CERTAIN)
		return true;

	__u32 key = 0, tid = bpf_get_current_pid_tgid();
	struct draw *last = bpf_map_lookup_elem(&draws, &key);
	if (!last)
		return false;
	__u64 sp = PT_REGS_SP(ctx);
	if (last->tid == tid && last->hook != hook && last->sp - sp < NESTED_STACK && size >= last->size &&
	    last->shared < NESTED_CALLS) {
		last->shared++;
	} else {
		last->shared = 0;
		last->value = bpf_get_prandom_u32();
	}
	last->tid = tid;
	last->hook = hook;
	last->size = size;
	last->sp = sp;
	return last->value < probability;
}

#endif
