/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Which of the followed processes is running: for programs that see the whole machine. */
#ifndef LEAKHOUND_TARGET_BPF_H
#define LEAKHOUND_TARGET_BPF_H

#include "namespace.bpf.h"

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
	return number_of((struct task_struct *)bpf_get_current_task());
}

/* The current process, as `processes` has it; none when it is not followed. */
static __always_inline __u32 *current_target(void)
{
	__u32 pid = current_process();

	return bpf_map_lookup_elem(&targets, &pid);
}

#endif
