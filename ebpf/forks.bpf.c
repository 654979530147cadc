/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Tells at once when a followed process forks or replaces its program: looking around at every snapshot would miss whatever
 * lives shorter. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "abi.h"
#include "namespace.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Followed processes, by number. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PROCESSES);
	__type(key, __u32);
	__type(value, __u32);
} parents SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} news SEC(".maps");

/* Forks of followed processes, those that found no room in `news` included. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} forks SEC(".maps");

static __always_inline void tell(__u32 what, __u32 number)
{
	struct process_news *n = bpf_ringbuf_reserve(&news, sizeof(*n), 0);
	if (!n)
		return;
	n->what = what;
	n->number = number;
	bpf_ringbuf_submit(n, 0);
}

SEC("raw_tracepoint/sched_process_fork")
int forked(__u64 *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx[0], *child = (struct task_struct *)ctx[1];
	__u32 number = number_of(parent), key = 0;

	if (BPF_CORE_READ(child, group_leader) != child) /* a thread */
		return 0;
	if (!bpf_map_lookup_elem(&parents, &number))
		return 0;
	__u64 *count = bpf_map_lookup_elem(&forks, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	tell(NEWS_FORKED, number_of(child));
	return 0;
}

SEC("raw_tracepoint/sched_process_exec")
int executed(__u64 *ctx)
{
	__u32 number = number_of((struct task_struct *)ctx[0]);

	if (bpf_map_lookup_elem(&parents, &number))
		tell(NEWS_EXECUTED, number);
	return 0;
}
