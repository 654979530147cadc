/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* How often the programs run and for how long: what the budget is held by. */
#ifndef LEAKHOUND_EFFORT_BPF_H
#define LEAKHOUND_EFFORT_BPF_H

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EFFORT_KINDS);
	__type(key, __u32);
	__type(value, struct effort);
} efforts SEC(".maps");

/* Reading the clock twice would cost as much as some programs do: one run in so many is timed. */
#define TIMED_ONE_IN 64
/* The deepest walks take a tenth of this: what took longer lost the CPU meanwhile, which is not our cost. */
#define LONGEST_RUN_NS 50000

struct stopwatch {
	struct effort *effort;
	__u64 began;		/* 0: this run is not timed */
};

static __always_inline struct stopwatch begin_effort(__u32 kind)
{
	struct stopwatch s = { .effort = bpf_map_lookup_elem(&efforts, &kind) };

	if (s.effort && __sync_fetch_and_add(&s.effort->runs, 1) % TIMED_ONE_IN == 0)
		s.began = bpf_ktime_get_ns();
	return s;
}

static __always_inline void end_effort(struct stopwatch *s)
{
	if (!s->began || !s->effort)
		return;
	__u64 took = bpf_ktime_get_ns() - s->began;
	if (took > LONGEST_RUN_NS)
		return;
	__sync_fetch_and_add(&s->effort->timed, 1);
	__sync_fetch_and_add(&s->effort->timed_ns, took);
}

#endif
