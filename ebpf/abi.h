/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* What the kernel side and the tracer agree on. `src/abi/` says the same in Rust; a test compares the two through BTF. */
#ifndef LEAKHOUND_ABI_H
#define LEAKHOUND_ABI_H

/* Deepest stack kept. The deepest real ones we met (Java, node) are under 80 frames. */
#define MAX_FRAMES 96
/* Executable mappings of one process that the unwinder knows; node has 40, a JVM with JIT segments about 60. */
#define MAX_MAPPINGS 512
/* Processes followed at once. */
#define MAX_PROCESSES 256
/* Bytes of the user's stack copied in one read. */
#define STACK_WINDOW 2048
/* Walks that may run on one CPU at once: a probe can be preempted by another thread's probe. */
#define WALKS_PER_CPU 4
/* Depth of binary searches: 2^9 mappings, at most 2^13 rows in a 4 KiB page. */
#define MAPPING_SEARCH_STEPS 10
#define ROW_SEARCH_STEPS 13

/* ---- hooks: one attach cookie says what a function does with which argument ---- */
enum operation {
	OP_ALLOCATE = 0,	/* returns the block */
	OP_ALLOCATE_OUT = 1,	/* returns an error number, the block goes through a pointer (posix_memalign) */
	OP_REALLOCATE = 2,	/* old block in, new block out */
	OP_RESIZE = 3,		/* stays in place, returns the new size (xallocx) */
	OP_FREE = 4,
};
/* cookie bits: hook 0-15, operation 16-19, size argument 20-22, count argument 23-25, pointer argument 26-28,
 * single-stepped 29, process 32-63. Arguments are numbered from 1; 0 is none. A link belongs to one process, so the cookie
 * can name it: no look-up by pid, which would depend on the pid namespace.
 *
 * A process is its slot in `processes` (low half) and how often that slot was given away before (high half): what a
 * process leaves behind is never taken for its successor's. */
#define COOKIE_HOOK(c) ((__u16)(c))
#define COOKIE_OPERATION(c) (((c) >> 16) & 15)
#define COOKIE_SIZE_ARGUMENT(c) (((c) >> 20) & 7)
#define COOKIE_COUNT_ARGUMENT(c) (((c) >> 23) & 7)
#define COOKIE_POINTER_ARGUMENT(c) (((c) >> 26) & 7)
#define COOKIE_STEPPED(c) (((c) >> 29) & 1)
#define COOKIE_PROCESS(c) ((__u32)((c) >> 32))
#define PROCESS_SLOT(p) ((p) & 0xffff)

/* ---- blocks and counters ---- */
struct block_key {
	__u64 address;
	__u32 process;
	__u32 pad;
};
struct block {
	__u64 size;
	__u64 stack;		/* hash of its frames: key of `stacks` */
	__u64 allocated_ns;	/* CLOCK_MONOTONIC */
	__u16 cohort;
	__u8 shift;		/* it was drawn with this period, as a power of two; 0: every allocation was followed */
	__u8 pad;
	__u32 tid;
};
/* What a call leaves for its return. */
struct call_key {
	__u32 tid;
	__u32 hook;
};
#define NOT_FOLLOWED 0xff
struct call {
	__u64 size;
	__u64 pointer;		/* old block, or where the result goes */
	__u32 entered;		/* jiffies, 24 bits */
	__u32 shift;		/* as in struct block, or NOT_FOLLOWED */
	__u64 had_old;		/* `old` holds the block that was taken out at entry */
	struct block old;
};
struct counter_key {
	__u64 stack;
	__u32 cohort;
	__u32 pad;
};
/* Sums over followed blocks. Of a sample they are estimates: see sampling.h. */
struct amounts {
	__u64 bytes;
	__u64 count;		/* blocks really followed */
	__u64 represented;	/* how many more blocks those stand for, in 2^-16 */
	__u64 variance;		/* of `bytes`, in 2^8 */
};
struct counters {
	struct amounts allocated;
	struct amounts freed;
};

/* A block that was freed, as the stream has it. */
struct ended_block {
	__u64 address;
	__u64 size;
	__u64 stack;
	__u64 allocated_ns;	/* CLOCK_MONOTONIC, both */
	__u64 freed_ns;
	__u32 process;
	__u32 tid;		/* that allocated it */
	__u32 freed_tid;
	__u32 shift;		/* as in struct block */
};

/* ---- effort: how often the programs ran, and how long ---- */
enum effort_kind {
	EFFORT_CALL = 0,	/* an allocating function was called, or an allocation was seen at a tracepoint */
	EFFORT_RETURN = 1,	/* the function returned, or what was seen is followed */
	EFFORT_FREE = 2,
	EFFORT_STEPPED = 4,	/* added to these where the kernel single-steps the probed instruction */
	EFFORT_KINDS = 8,
};
struct effort {
	__u64 runs;
	__u64 timed;		/* runs of which the length was taken */
	__u64 timed_ns;
};

/* ---- news of processes ---- */
enum news {
	NEWS_FORKED = 0,	/* a followed process has a new child: its number */
	NEWS_EXECUTED = 1,	/* a followed process replaced its program */
};
struct process_news {
	__u32 what;
	__u32 number;		/* in the tracer's pid namespace; 0: it has none there */
};

/* ---- stacks ---- */
#define NO_HOOK 0xffffffff
/* `process` of stacks whose addresses are the kernel's own. */
#define KERNEL_STACK 0xffffffff
/* What kernel mode saw allocated. */
enum kernel_event {
	KERNEL_PAGES = 0,	/* by the page allocator */
	KERNEL_KMALLOC = 1,	/* by size */
	KERNEL_CACHE = 2,	/* from a cache of objects of one type */
};
enum walk_end {
	WALK_COMPLETE = 0,	/* reached the outermost function */
	WALK_NO_MAPPING = 1,	/* return address in no known mapping */
	WALK_NO_ROWS = 2,	/* module without unwind rows, and no frame pointer to follow */
	WALK_UNSUPPORTED = 3,	/* an unwind rule that a row cannot express */
	WALK_UNREADABLE = 4,	/* stack memory not readable (paged out, or garbage) */
	WALK_TRUNCATED = 5,	/* deeper than MAX_FRAMES */
	WALK_RETURN_PROBE = 6,	/* a return probe has put its own address into the place of the caller's */
};
struct stack {
	__u32 length;
	__u32 process;		/* KERNEL_STACK for the kernel's own */
	__u32 hook;		/* heap mode: COOKIE_HOOK of the function that was called; kernel mode: enum kernel_event; else NO_HOOK */
	__u8 end;		/* enum walk_end */
	__u8 interrupted;	/* the innermost frame was interrupted where it is: no return address */
	__u8 pad[2];
	__u64 address[MAX_FRAMES];	/* innermost first: all are return addresses, but a signal's frame and an interrupted one */
};

/* ---- unwind tables ---- */
/* One row: pc_low:12 | cfa:4 | cfa_offset/8:16 | rbp_offset/8:16 | add:16. It holds from its pc to the next row's.
 * For CFA_RSP and CFA_RBP, add counts LARGE_FRAME bytes on top of the offset: some functions keep a megabyte of buffers. */
#define LARGE_FRAME (512 * 1024)
enum cfa {
	CFA_NONE = 0,		/* no unwind information: try the frame pointer */
	CFA_RSP = 1,		/* rsp + offset */
	CFA_RBP = 2,		/* rbp + offset */
	CFA_PLT = 3,		/* rsp + 8, and 8 more when pc & 15 >= add (procedure linkage table) */
	CFA_DEREF_RSP = 4,	/* *(rsp + offset) + add */
	CFA_DEREF_RBP = 5,	/* *(rbp + offset) + add */
	CFA_SIGNAL = 6,		/* a signal frame: the interrupted registers lie at rsp + 40 */
	CFA_END = 7,		/* the outermost function */
	CFA_UNSUPPORTED = 8,
	CFA_REALIGNED = 9,	/* *(rbp + offset) + add, and the caller's rbp lies at *rbp: GCC's frames with a realigned stack */
};
struct mapping {
	__u64 start, end;
	__u64 bias;		/* run-time address minus the file's own virtual address */
	__u32 first_page;	/* into `pages`; one entry for every 4 KiB of the file's virtual addresses */
	__u32 page_count;	/* 0: anonymous executable memory (JIT), walked by frame pointer */
};
/* `first_page` of the page that the kernel puts into a program for its probes. */
#define PROBES_PAGE 0xffffffff
struct process {
	__u32 mapping_count;
	__u32 pad;
	struct mapping mapping[MAX_MAPPINGS];	/* sorted by start */
	/* When the mappings were set: what is known of walks through older ones is void. It is written last, so that a walk
	 * meanwhile goes by the old time. */
	__u64 set_ns;
};

/* ---- ledger: numbered counters, each one a thing that happened or was lost ---- */
enum ledger {
	LEDGER_ALLOCATIONS = 0,		/* allocations followed: the tracer adds up the counters */
	LEDGER_FREES = 1,		/* frees of a followed block: the same */
	LEDGER_FAILED_ALLOCATIONS = 2,	/* the allocator returned NULL */
	LEDGER_SMALL_ALLOCATIONS = 3,	/* left out because of the minimum size */
	LEDGER_UNMATCHED_FREES = 4,	/* of blocks older than the probes, left out, freed twice, or lost */
	LEDGER_NESTED_CALLS = 5,	/* an allocator function called by another: counted once */
	LEDGER_MISSED_FREES = 6,	/* address allocated again without a free seen: old block taken as freed */
	LEDGER_BLOCKS_FULL = 7,		/* allocations lost: no room for the block */
	LEDGER_COUNTERS_FULL = 8,	/* allocations lost: no room for another (stack, cohort) */
	LEDGER_STACKS_FULL = 9,		/* stacks counted but without frames */
	LEDGER_CALLS_FULL = 10,		/* calls lost: no room to remember arguments until the return */
	LEDGER_RETURNS_UNMATCHED = 11,	/* returns whose call was not seen */
	LEDGER_WALKS_BUSY = 12,		/* allocations lost: every walk buffer of the CPU in use */
	LEDGER_WALKS_COMPLETE = 13,	/* all walks but the ones below: the tracer computes it */
	LEDGER_WALKS_NO_MAPPING = 14,
	LEDGER_WALKS_NO_ROWS = 15,
	LEDGER_WALKS_UNSUPPORTED = 16,
	LEDGER_WALKS_UNREADABLE = 17,
	LEDGER_WALKS_TRUNCATED = 18,
	LEDGER_FRAME_POINTER_STEPS = 19,	/* frames stepped by frame pointer for want of unwind rows */
	LEDGER_FOREIGN_EVENTS = 20,	/* probe ran in a process that is not followed */
	LEDGER_UNREADABLE_OUT = 21,	/* posix_memalign's result pointer not readable */
	LEDGER_UNSAMPLED_ALLOCATIONS = 22,	/* left out by sampling */
	LEDGER_STREAM_LOST = 23,	/* blocks that the stream had no room for: counted, but not told */
	LEDGER_FREES_LOST = 24,		/* frees whose block could not be taken out: the table was busy on this CPU */
	LEDGER_RECLAIMABLE = 25,	/* allocations left out that the kernel takes back by itself: page cache, inodes ... */
	LEDGER_OWN_EVENTS = 26,		/* allocations left out because they are the tracer's own */
	LEDGER_OVER_BUDGET = 27,	/* allocations left out because following them would have cost more than the budget */
	LEDGER_MACHINE_EVENTS = 28,	/* tracepoints passed on the whole machine, by whomever: what nested misses are a share of */
	LEDGER_WALKS_RETURN_PROBE = 29,	/* the number of the next walk_end is taken, so this one is apart */
	LEDGER_LENGTH = 32,
};

#endif
