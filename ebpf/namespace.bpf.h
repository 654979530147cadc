/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Processes by number: the tracer knows them by that in its own pid namespace, a program sees the initial namespace's. */
#ifndef LEAKHOUND_NAMESPACE_BPF_H
#define LEAKHOUND_NAMESPACE_BPF_H

const volatile __u32 pid_namespace = 0;	/* inode number of the tracer's; 0: it is the initial one */

/* MAX_PID_NS_LEVEL */
#define PID_LEVELS 32

/* The number of a task's process in the tracer's pid namespace; 0 when it has none there. */
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

#endif
