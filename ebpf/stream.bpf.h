/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Every block's life, handed to user space as it ends. */
#ifndef LEAKHOUND_STREAM_BPF_H
#define LEAKHOUND_STREAM_BPF_H

/* Whether somebody reads them: without, the verifier removes all of this. */
const volatile __u32 stream_blocks = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ended SEC(".maps");

/* A block was freed by the thread that runs. Nobody is woken: the reader looks often enough by itself. */
static __always_inline void stream_block(struct block_key *key, struct block *block)
{
	if (!stream_blocks)
		return;
	struct ended_block *e = bpf_ringbuf_reserve(&ended, sizeof(*e), 0);
	if (!e) {
		ledger_add(LEDGER_STREAM_LOST, 1);
		return;
	}
	e->address = key->address;
	e->size = block->size;
	e->stack = block->stack;
	e->allocated_ns = block->allocated_ns;
	e->freed_ns = bpf_ktime_get_ns();
	e->process = key->process;
	e->tid = block->tid;
	e->freed_tid = bpf_get_current_pid_tgid();
	e->shift = block->shift;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

#endif
