/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Tells at once when a followed process forks or replaces its program: looking around at every snapshot would miss whatever
 * lives shorter. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The tracer knows processes by their number in its own pid namespace. */
const volatile __u32 pid_namespace = 0;	/* inode number of that; 0: it is the initial one */

/* MAX_PID_NS_LEVEL */
#define PID_LEVELS 32

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

/* A process's number in the tracer's pid namespace; 0 when it has none there. */
static __always_inline __u32 number_of(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *numbers = (struct upid *)((char *)pid + bpf_core_field_offset(struct pid, numbers));
	__u32 size = bpf_core_type_size(struct upid);

	for (__u32 i = 0; i < PID_LEVELS && i <= level; i++) {
		struct upid *one = (struct upid *)((char *)numbers + i * size);
		if (!pid_namespace || BPF_CORE_READ(one, ns, ns.inum) == pid_namespace)
			return BPF_CORE_READ(one, nr);
	}
	return 0;
}

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
