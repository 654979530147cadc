/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* A walk through a user stack: what it knows on the way, the tables that it goes by, and how it reads the stack. */
#ifndef LEAKHOUND_WALK_BPF_H
#define LEAKHOUND_WALK_BPF_H

#define PAGE_SIZE 4096
#define EMPTY_HASH 0x9E3779B97F4A7C15ULL

/* Sized at load to what the target's modules need, with room for libraries loaded later. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} rows SEC(".maps");

/* One entry per 4 KiB page of a module: its first row (low half) and the first row after it (high half). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PROCESSES);
	__type(key, __u32);
	__type(value, struct process);
} processes SEC(".maps");

/* One walk and its result. All of it lies in a map on purpose: what lies on the BPF stack the verifier follows value by
 * value through every turn of the loop, and gives up. */
struct walk {
	__u32 busy;
	__u32 mapping;		/* where the last frame was found: the next is often in the same */
	__u64 ip, sp, bp;
	__u64 hash;
	__u32 is_return_address;
	__u32 frame_pointer_steps;
	__u64 window_start;
	__u32 window_length;
	__u32 memo;		/* key in `memos` */
	__u32 recalled;		/* the walk is the memo's: `stack` has no addresses */
	__u32 noted;		/* the walk was noted in the memo, which nobody may use before `keep_walk` */
	struct stack stack;
	__u64 window[STACK_WINDOW / 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WALKS_PER_CPU);
	__type(key, __u32);
	__type(value, struct walk);
} walks SEC(".maps");

struct memo;

struct walker {
	struct walk *walk;
	struct process *process;
	struct memo *memo;	/* takes notes of this walk; may be none */
};

/* Per CPU is not enough: with kernel preemption another thread's probe can start on this CPU before ours has ended. */
static __always_inline struct walk *claim_walk(void)
{
	for (__u32 i = 0; i < WALKS_PER_CPU; i++) {
		__u32 key = i;
		struct walk *w = bpf_map_lookup_elem(&walks, &key);
		if (w && __sync_val_compare_and_swap(&w->busy, 0, 1) == 0)
			return w;
	}
	return 0;
}

static __always_inline void release_walk(struct walk *w)
{
	__sync_val_compare_and_swap(&w->busy, 1, 0);
}

/* How much of the stack can be read from here on without crossing a page. Kernel 6.1 forgets the limit of a number that clang
 * puts on the stack before it is compared, so callers compare once more, and clang must not know that they need not. */
static __always_inline __u32 window_length(__u64 address)
{
	__u32 length = PAGE_SIZE - (address & (PAGE_SIZE - 1));

	if (length > STACK_WINDOW)
		length = STACK_WINDOW;
	barrier_var(length);
	return length;
}

/* One read of up to 2 KiB costs little more than one of 8 bytes, so the stack is read through a window. It never
 * crosses a page: a read that fails costs an exception. */
static __always_inline int read_stack(struct walk *w, __u64 address, __u64 *value)
{
	__u64 offset = address - w->window_start;

	if (offset < w->window_length && !(offset & 7)) {
		__u32 i = offset >> 3;
		if (i < STACK_WINDOW / 8) {
			*value = w->window[i];
			return 0;
		}
	}
	if (address & 7)
		return bpf_probe_read_user(value, 8, (void *)address);
	__u32 length = window_length(address);
	w->window_length = 0;
	if (length > STACK_WINDOW || bpf_probe_read_user(w->window, length, (void *)address))
		return -1;
	w->window_start = address;
	w->window_length = length;
	*value = w->window[0];
	return 0;
}

/* Opens the window on the stack where the walk begins. */
static __always_inline void open_window(struct walk *w)
{
	__u32 length = window_length(w->sp);

	w->window_start = w->sp;
	w->window_length = 0;
	if (!(w->sp & 7) && length <= STACK_WINDOW && !bpf_probe_read_user(w->window, length, (void *)w->sp))
		w->window_length = length;
}

#endif
