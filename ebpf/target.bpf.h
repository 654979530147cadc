/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Which of the followed processes is running: for programs that see the whole machine. */
#ifndef LEAKHOUND_TARGET_BPF_H
#define LEAKHOUND_TARGET_BPF_H

/* The tracer knows processes by their number in its own pid namespace, a program sees the initial namespace's. */
const volatile __u32 pid_namespace = 0;	/* inode number of the tracer's; 0: it is the initial one */

/* MAX_PID_NS_LEVEL */
#define PID_LEVELS 32

/* Each followed process, by its pid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PROCESSES);
	__type(key, __u32);
	__type(value, __u32);
} targets SEC(".maps");

/* The current process's number in the tracer's pid namespace; 0 when it has none there. */
static __always_inline __u32 current_process(void)
{
	if (!pid_namespace)
		return bpf_get_current_pid_tgid() >> 32;

	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *numbers = (struct upid *)((char *)pid + bpf_core_field_offset(struct pid, numbers));
	__u32 size = bpf_core_type_size(struct upid);

	for (__u32 i = 0; i < PID_LEVELS && i <= level; i++) {
		struct upid *one = (struct upid *)((char *)numbers + i * size);
		if (BPF_CORE_READ(one, ns, ns.inum) == pid_namespace)
			return BPF_CORE_READ(one, nr);
	}
	return 0;
}

/* The current process, as `processes` has it; none when it is not followed. */
static __always_inline __u32 *current_target(void)
{
	__u32 pid = current_process();

	return bpf_map_lookup_elem(&targets, &pid);
}

#endif
