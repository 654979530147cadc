/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Counts of everything that happened out of the ordinary or was lost, one counter a reason, per CPU. */
#ifndef LEAKHOUND_LEDGER_BPF_H
#define LEAKHOUND_LEDGER_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LEDGER_LENGTH);
	__type(key, __u32);
	__type(value, __u64);
} ledger SEC(".maps");

/* Atomic although per CPU: a probe can be preempted by another thread's probe. */
static __always_inline void ledger_add(enum ledger entry, __u64 count)
{
	__u32 key = entry;
	__u64 *value = bpf_map_lookup_elem(&ledger, &key);
	if (value)
		__sync_fetch_and_add(value, count);
}

#endif
