/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* The kernel types the programs read, and nothing else: CO-RE finds every field again at load time. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__ /* bpf_tracing.h looks for this name to read `di` and not `rdi` */

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u16 __sum16;
typedef _Bool bool;
typedef unsigned long size_t;
enum { false = 0, true = 1 };

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_F_NO_PREALLOC = 1, BPF_F_MMAPABLE = 1024, BPF_RB_NO_WAKEUP = 1 };

#define PF_EXITING 4	/* task_struct.flags */
/* Bits of an allocation's flags; the self-tests of growth and kernel mode notice when they move. */
#define GFP_HIGHMEM 0x02
#define GFP_MOVABLE 0x08
#define GFP_RECLAIMABLE 0x10
#define GFP_ZERO 0x100
#define GFP_NOMEMALLOC 0x80000

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
struct ns_common {
	unsigned int inum;
};
struct pid_namespace {
	struct ns_common ns;
};
struct upid {
	int nr;
	struct pid_namespace *ns;
};
struct pid {
	unsigned int level;
	struct upid numbers[1];
};
struct task_struct {
	unsigned int flags;
	struct task_struct *group_leader;
	struct pid *thread_pid;
};
struct page {
	unsigned long flags;
};
struct kmem_cache {
	unsigned int size;
	unsigned int allocflags;
};
#pragma clang attribute pop

#endif
