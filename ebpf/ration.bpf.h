/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* A ceiling on what is followed that holds also while user space gets no processor time to look at the budget. */
#ifndef LEAKHOUND_RATION_BPF_H
#define LEAKHOUND_RATION_BPF_H

const volatile __u32 rationed = 0;	/* whether there is a budget: without, the verifier removes all of this */

/* How many more allocations may be followed. User space sets it anew at each look. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __s64);
} ration SEC(".maps");

/* Takes one allocation from what may be followed; what finds none left is counted as left out. */
static __always_inline bool is_affordable(void)
{
	__u32 key = 0;

	if (!rationed)
		return true;
	__s64 *left = bpf_map_lookup_elem(&ration, &key);
	if (left && *left > 0) {
		__sync_fetch_and_add(left, -1);
		return true;
	}
	ledger_add(LEDGER_OVER_BUDGET, 1);
	return false;
}

#endif
