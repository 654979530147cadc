/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* What every mode keeps: live blocks, and per stack and cohort what was allocated and freed. A snapshot reads the counters
 * and never walks the blocks. */
#ifndef LEAKHOUND_COUNTERS_BPF_H
#define LEAKHOUND_COUNTERS_BPF_H

#include "sampling.h"

#define EEXIST 17

const volatile __u64 start_ns = 0;	/* CLOCK_MONOTONIC */
const volatile __u64 cohort_ns = 1;
const volatile __u32 last_cohort = 0;	/* later blocks go into this one */
const volatile __u64 min_size = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct block_key);
	__type(value, struct block);
} blocks SEC(".maps");

/* Counters and stacks grow as they fill: most programs have a thousand stacks, not sixteen thousand. Blocks come and go with
 * every event, so their table is made in one piece; and kernel mode, which would see its own tables grow, makes all of them so. */
#ifndef TABLE_FLAGS
#define TABLE_FLAGS BPF_F_NO_PREALLOC
#endif
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, TABLE_FLAGS);
	__uint(max_entries, 1);
	__type(key, struct counter_key);
	__type(value, struct counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, TABLE_FLAGS);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct stack);
} stacks SEC(".maps");

static __always_inline __u32 cohort_of(__u64 now)
{
	__u64 cohort = (now - start_ns) / cohort_ns;

	return cohort < last_cohort ? cohort : last_cohort;
}

/* `stack` may be none: one that was stored, or had no room, before. */
static __always_inline struct counters *find_counters(struct counter_key *key, struct stack *stack)
{
	struct counters *c = bpf_map_lookup_elem(&counters, key);
	if (c)
		return c;
	if (!bpf_map_lookup_elem(&stacks, &key->stack) &&
	    (!stack || bpf_map_update_elem(&stacks, &key->stack, stack, BPF_ANY)))
		ledger_add(LEDGER_STACKS_FULL, 1);
	struct counters none = {};
	bpf_map_update_elem(&counters, key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&counters, key);
}

/* Counts a block `times` times, 1 or -1, at its weight. */
static __always_inline void count_block(struct amounts *to, __u64 size, __u32 shift, __u64 times)
{
	__sync_fetch_and_add(&to->count, times);
	if (!shift) {
		__sync_fetch_and_add(&to->bytes, times * size);
		return;
	}
	__u64 probability = sample_probability(size, shift), bytes = sample_bytes(size, probability);
	__sync_fetch_and_add(&to->bytes, times * bytes);
	__sync_fetch_and_add(&to->represented, times * (sample_weight(probability) - WEIGHT_ONE));
	__sync_fetch_and_add(&to->variance, times * sample_variance(bytes, probability));
}

static __always_inline void count_free(struct block *block)
{
	struct counter_key key = { .stack = block->stack, .cohort = block->cohort };
	struct counters *c = bpf_map_lookup_elem(&counters, &key);

	if (c)
		count_block(&c->freed, block->size, block->shift, 1);
}

#endif
