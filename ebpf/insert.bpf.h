/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Takes in what the kernel's own allocators gave out, where an address alone names a block. */
#ifndef LEAKHOUND_INSERT_BPF_H
#define LEAKHOUND_INSERT_BPF_H

/* By stack, how many of its blocks were freed unseen: their address was given out again. Some frees have no tracepoint (those
 * in bulk, and after a grace period), so numbers of such a stack say little. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} missed SEC(".maps");

static __always_inline void count_missed(struct block *old)
{
	__u64 none = 0, *count;

	ledger_add(LEDGER_MISSED_FREES, 1);
	count_free(old);
	count = bpf_map_lookup_elem(&missed, &old->stack);
	if (!count) {
		bpf_map_update_elem(&missed, &old->stack, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&missed, &old->stack);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
}

/* `shift` is as in struct block. Returns whether it was counted. */
static __always_inline bool insert_block(__u64 address, __u64 size, __u32 shift, __u64 hash, struct stack *stack)
{
	__u64 now = bpf_ktime_get_ns();
	struct block block = {
		.size = size,
		.stack = hash,
		.allocated_ns = now,
		.cohort = cohort_of(now),
		.shift = shift,
		.tid = bpf_get_current_pid_tgid(),
	};
	struct counter_key counter_key = { .stack = hash, .cohort = block.cohort };
	struct block_key key = { .address = address };
	struct counters *c = find_counters(&counter_key, stack);

	if (!c) {
		ledger_add(LEDGER_COUNTERS_FULL, 1);
		return false;
	}
	long error = bpf_map_update_elem(&blocks, &key, &block, BPF_NOEXIST);
	if (error == -EEXIST) {
		struct block *found = bpf_map_lookup_elem(&blocks, &key);
		if (found) {
			struct block old = *found;
			count_missed(&old);
		}
		error = bpf_map_update_elem(&blocks, &key, &block, BPF_ANY);
	}
	if (error) {
		ledger_add(LEDGER_BLOCKS_FULL, 1);
		return false;
	}
	count_block(&c->allocated, size, shift, 1);
	return true;
}

/* Takes a block out. The delete decides who counts it when two CPUs race. */
static __always_inline void remove_block(struct block_key *key, struct block *found)
{
	struct block block = *found;

	if (bpf_map_delete_elem(&blocks, key))
		ledger_add(LEDGER_FREES_LOST, 1);
	else
		count_free(&block);
}

#endif
