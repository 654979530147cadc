/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Walks done before. A walk depends on three registers, the words it reads and the process's mappings alone: when a thread
 * comes by again with the same registers and finds the same words, its stack is the same. To compare the words costs a fifth
 * of finding a row for every frame. */
#ifndef LEAKHOUND_MEMO_BPF_H
#define LEAKHOUND_MEMO_BPF_H

#include "walk.bpf.h"

/* Per CPU, a power of two. */
#define MEMOS 128
/* Words that a walk of MAX_FRAMES reads where every function saves rbp; one that reads more is not kept. */
#define MEMO_READS 192
/* Words compared in one turn of the loop: a turn costs as much as three of them. */
#define MEMO_STRIDE 8

struct memo {
	volatile __u32 version;	/* odd while a walk writes it: another thread's probe may run on this CPU meanwhile */
	__u32 reads;		/* 0: it holds no walk */
	__u64 ip, sp, bp;
	__u32 process;
	__u32 hook;
	__u64 set_ns;		/* of struct process, when it was walked */
	__u64 hash;
	__u32 end;		/* enum walk_end */
	__u32 frame_pointer_steps;
	__u64 value[MEMO_READS];
	__u32 offset[MEMO_READS];	/* from sp */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MEMOS);
	__type(key, __u32);
	__type(value, struct memo);
} memos SEC(".maps");

static __always_inline __u32 memo_key(__u64 ip, __u64 sp)
{
	__u64 mixed = (ip ^ sp >> 3) * 0x9E3779B97F4A7C15ULL;

	return mixed >> 32 & (MEMOS - 1);
}

/* Keeps a word that the walk read. Too many of them make the memo useless, which `keep_walk` sees. */
static __always_inline void note_read(struct memo *m, __u64 address, __u64 value)
{
	__u64 offset = address - m->sp;
	__u32 i = m->reads;

	if (i >= MEMO_READS || offset >> 32) {
		m->reads = MEMO_READS + 1;
		return;
	}
	m->value[i] = value;
	m->offset[i] = offset;
	m->reads = i + 1;
}

/* Compares a few words of the stack with those of the memo. Returns 1 when the comparison is over. */
static int compare_words(__u32 turn, struct walker *walker)
{
	struct memo *m = walker->memo;
	struct walk *w = walker->walk;
	__u64 value;

	if (!m)
		return 1;
#pragma unroll
	for (int k = 0; k < MEMO_STRIDE; k++) {
		__u32 i = turn * MEMO_STRIDE + k;
		if (i >= m->reads || i >= MEMO_READS)
			return 1;
		if (read_stack(w, m->sp + m->offset[i], &value) || value != m->value[i]) {
			w->recalled = 0;
			return 1;
		}
	}
	return 0;
}

/* Whether the memo holds just this walk: then its result is this walk's. */
static __always_inline bool recall_walk(struct walker *walker, struct memo *memo)
{
	struct walk *w = walker->walk;
	__u32 version = memo->version;

	if ((version & 1) || !memo->reads || memo->ip != w->ip || memo->sp != w->sp || memo->bp != w->bp ||
	    memo->process != w->stack.process || memo->hook != w->stack.hook || memo->set_ns != walker->process->set_ns)
		return false;
	walker->memo = memo;
	w->recalled = 1;
	bpf_loop(MEMO_READS / MEMO_STRIDE, compare_words, walker, 0);
	__u64 hash = memo->hash;
	__u32 end = memo->end, frame_pointer_steps = memo->frame_pointer_steps;
	if (memo->version != version)
		w->recalled = 0;
	if (!w->recalled)
		return false;
	w->hash = hash;
	w->stack.end = end;
	w->frame_pointer_steps = frame_pointer_steps;
	return true;
}

/* Makes a memo this walk's own, unless another writes it. */
static __always_inline void take_notes(struct walker *walker, struct memo *memo)
{
	struct walk *w = walker->walk;
	__u32 version = memo->version;

	if ((version & 1) || __sync_val_compare_and_swap(&memo->version, version, version + 1) != version)
		return;
	memo->reads = 0;
	memo->ip = w->ip;
	memo->sp = w->sp;
	memo->bp = w->bp;
	memo->process = w->stack.process;
	memo->hook = w->stack.hook;
	memo->set_ns = walker->process->set_ns;
	walker->memo = memo;
	w->noted = 1;
}

/* Lets the memo be used, now that the stack is stored. What could not be read may be readable the next time: such a walk
 * is done again. */
static __always_inline void keep_walk(struct walk *w)
{
	struct memo *memo = w->noted ? bpf_map_lookup_elem(&memos, &w->memo) : 0;

	if (!memo)
		return;
	if (w->stack.end == WALK_UNREADABLE || memo->reads > MEMO_READS)
		memo->reads = 0;
	memo->hash = w->hash;
	memo->end = w->stack.end;
	memo->frame_pointer_steps = w->frame_pointer_steps;
	__sync_fetch_and_add(&memo->version, 1);
}

#endif
