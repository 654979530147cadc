/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Walks a user stack without frame pointers: the rows of .eh_frame, compiled by the tracer, say for every pc where the
 * caller's frame begins. docs/unwinding.md explains the tables. */
#ifndef LEAKHOUND_UNWIND_BPF_H
#define LEAKHOUND_UNWIND_BPF_H

#include "walk.bpf.h"
#include "memo.bpf.h"

/* The same, for a walk that takes notes. */
static __always_inline int read_word(struct walker *walker, __u64 address, __u64 *value)
{
	if (read_stack(walker->walk, address, value))
		return -1;
	if (walker->memo)
		note_read(walker->memo, address, *value);
	return 0;
}

/* Where there are no rows (JIT code, assembly without CFI) a frame pointer may still be kept. */
static __always_inline int step_by_frame_pointer(struct walker *walker)
{
	struct walk *w = walker->walk;
	__u64 bp, ip;

	if (w->bp < w->sp || (w->bp & 7) || read_word(walker, w->bp, &bp) ||
	    read_word(walker, w->bp + 8, &ip)) {
		w->stack.end = WALK_NO_ROWS;
		return 1;
	}
	w->frame_pointer_steps++;
	if (!ip) {
		w->stack.end = WALK_COMPLETE;
		return 1;
	}
	w->sp = w->bp + 16;
	w->bp = bp;
	w->ip = ip;
	w->is_return_address = 1;
	return 0;
}

static __always_inline int step_over_signal(struct walker *walker)
{
	struct walk *w = walker->walk;
	/* struct rt_sigframe on x86-64: siginfo and ucontext; uc_mcontext's registers start 40 bytes above sp */
	__u64 registers = w->sp + 40, sp;

	if (read_word(walker, registers + 10 * 8, &w->bp) || read_word(walker, registers + 15 * 8, &sp) ||
	    read_word(walker, registers + 16 * 8, &w->ip)) {
		w->stack.end = WALK_UNREADABLE;
		return 1;
	}
	w->sp = sp;
	w->is_return_address = 0;
	return 0;
}

static __always_inline struct mapping *find_mapping(struct walk *w, struct process *process, __u64 pc)
{
	struct mapping *m = &process->mapping[w->mapping & (MAX_MAPPINGS - 1)];

	if (pc >= m->start && pc < m->end)
		return m;
	__u32 low = 0, high = process->mapping_count;
	for (int i = 0; i < MAPPING_SEARCH_STEPS && low < high; i++) {
		__u32 middle = ((low + high) >> 1) & (MAX_MAPPINGS - 1);
		if (process->mapping[middle].end <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	w->mapping = low & (MAX_MAPPINGS - 1);
	m = &process->mapping[w->mapping];
	return pc >= m->start && pc < m->end ? m : 0;
}

static __always_inline __u64 *find_row(struct mapping *m, __u64 pc)
{
	__u64 relative = pc - m->bias;
	__u32 page = relative / PAGE_SIZE, pc_low = relative & (PAGE_SIZE - 1);

	if (relative / PAGE_SIZE >= m->page_count)
		return 0;
	__u32 key = m->first_page + page;
	__u64 *entry = bpf_map_lookup_elem(&pages, &key);
	if (!entry)
		return 0;
	__u32 low = *entry, high = *entry >> 32;
	for (int i = 0; i < ROW_SEARCH_STEPS && low < high; i++) {
		__u32 middle = (low + high) >> 1;
		__u64 *row = bpf_map_lookup_elem(&rows, &middle);
		if (!row)
			return 0;
		if ((*row & 0xfff) <= pc_low)
			low = middle + 1;
		else
			high = middle;
	}
	key = low - 1; /* the last row at or before pc, of this page or carried in from an earlier one */
	return bpf_map_lookup_elem(&rows, &key);
}

/* One frame up. Returns 1 when the walk is over. */
static int step(__u32 i, struct walker *walker)
{
	struct walk *w = walker->walk;
	__u32 n = w->stack.length;

	if (n >= MAX_FRAMES) {
		w->stack.end = WALK_TRUNCATED;
		return 1;
	}
	w->stack.address[n] = w->ip;
	w->stack.length = n + 1;
	w->hash = (w->hash ^ w->ip) * EMPTY_HASH;
	w->hash ^= w->hash >> 29;

	/* a return address may lie behind the function's end, when the call was its last instruction */
	__u64 pc = w->ip - w->is_return_address;
	struct mapping *m = find_mapping(w, walker->process, pc);
	if (!m) {
		w->stack.end = WALK_NO_MAPPING;
		return 1;
	}
	if (!m->page_count && m->first_page == PROBES_PAGE) {
		w->stack.length = n ? n : 1; /* its address is nobody's frame */
		w->stack.end = WALK_RETURN_PROBE;
		return 1;
	}
	/* a library may lie where another one did: equal addresses are then not the same code */
	w->hash += (__u64)m->first_page << 32;
	if (!m->page_count)
		return step_by_frame_pointer(walker);
	__u64 *row = find_row(m, pc);
	if (!row)
		return step_by_frame_pointer(walker);

	__u64 rule = *row, base, cfa, value;
	__u32 kind = (rule >> 12) & 15;
	__s64 cfa_offset = (__s64)(__s16)(rule >> 16) * 8, bp_offset = (__s64)(__s16)(rule >> 32) * 8;
	__s64 add = (__s16)(rule >> 48);

	switch (kind) {
	case CFA_RSP:
		cfa = w->sp + cfa_offset + add * LARGE_FRAME;
		break;
	case CFA_RBP:
		cfa = w->bp + cfa_offset + add * LARGE_FRAME;
		break;
	case CFA_PLT:
		cfa = w->sp + 8 + ((__s64)(pc & 15) >= add ? 8 : 0);
		break;
	case CFA_DEREF_RSP:
	case CFA_DEREF_RBP:
	case CFA_REALIGNED:
		base = kind == CFA_DEREF_RSP ? w->sp : w->bp;
		if (read_word(walker, base + cfa_offset, &value)) {
			w->stack.end = WALK_UNREADABLE;
			return 1;
		}
		cfa = value + add;
		break;
	case CFA_SIGNAL:
		return step_over_signal(walker);
	case CFA_END:
		w->stack.end = WALK_COMPLETE;
		return 1;
	case CFA_NONE:
		return step_by_frame_pointer(walker);
	default:
		w->stack.end = WALK_UNSUPPORTED;
		return 1;
	}

	/* the stack only shrinks on the way out; anything else is garbage and could go round for ever */
	if (i && cfa <= w->sp) {
		w->stack.end = WALK_UNREADABLE;
		return 1;
	}
	if (bp_offset > 0) {
		w->bp = 0; /* lost */
	} else if (bp_offset || kind == CFA_REALIGNED) {
		if (read_word(walker, kind == CFA_REALIGNED ? w->bp : cfa + bp_offset, &value)) {
			w->stack.end = WALK_UNREADABLE;
			return 1;
		}
		w->bp = value;
	}
	if (read_word(walker, cfa - 8, &value)) {
		w->stack.end = WALK_UNREADABLE;
		return 1;
	}
	if (!value) {
		w->stack.end = WALK_COMPLETE;
		return 1;
	}
	w->ip = value;
	w->sp = cfa;
	w->is_return_address = 1;
	return 0;
}

/* Walks from the registers given into a claimed walk. `interrupted` says that they are those of an instruction, not of a
 * call about to return; whoever passes false calls `keep_walk` afterwards. The hash names the stack: it begins with the process and the function called, so that equal
 * addresses in two programs, or malloc and calloc on one line, stay apart. */
static __always_inline int walk_stack(struct walk *w, struct pt_regs *registers, __u32 process, __u32 hook,
				      bool interrupted)
{
	__u32 slot = PROCESS_SLOT(process);
	struct walker walker = { .walk = w, .process = bpf_map_lookup_elem(&processes, &slot) };

	if (!walker.process)
		return -1;
	w->mapping = 0;
	w->ip = PT_REGS_IP(registers);
	w->sp = PT_REGS_SP(registers);
	w->bp = PT_REGS_FP(registers);
	w->is_return_address = !interrupted;
	w->frame_pointer_steps = 0;
	w->memo = memo_key(w->ip, w->sp);
	w->recalled = 0;
	w->noted = 0;
	w->stack.length = 0;
	w->stack.process = process;
	w->stack.hook = hook;
	w->stack.end = WALK_TRUNCATED;
	w->stack.interrupted = interrupted;
	open_window(w);

	/* an interrupted instruction may be any: its walk seldom comes again */
	struct memo *memo = interrupted ? 0 : bpf_map_lookup_elem(&memos, &w->memo);
	if (!memo || !recall_walk(&walker, memo)) {
		if (memo)
			take_notes(&walker, memo);
		w->hash = EMPTY_HASH ^ ((__u64)process << 32 | hook);
		bpf_loop(MAX_FRAMES + 1, step, &walker, 0);
	}

	if (w->frame_pointer_steps)
		ledger_add(LEDGER_FRAME_POINTER_STEPS, w->frame_pointer_steps);
	if (w->stack.end != WALK_COMPLETE)
		ledger_add(w->stack.end == WALK_RETURN_PROBE ? LEDGER_WALKS_RETURN_PROBE :
							       LEDGER_WALKS_COMPLETE + w->stack.end, 1);
	return 0;
}

#endif
