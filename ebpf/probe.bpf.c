/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Programs that only count: the start-up self-test proves an attach method with them, and the benchmark measures with
 * them what the traps alone cost. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* 0: entries, 1: returns, 2: the attach cookie seen last */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

static bool (*session_is_return)(void) = (void *)100001;
static __u64 *(*session_cookie)(void) = (void *)100002;

static __always_inline void note(struct pt_regs *ctx, __u32 key)
{
	__u32 cookie_key = 2;
	__u64 *count = bpf_map_lookup_elem(&seen, &key), *cookie = bpf_map_lookup_elem(&seen, &cookie_key);

	if (count)
		__sync_fetch_and_add(count, 1);
	if (cookie)
		*cookie = bpf_get_attach_cookie(ctx);
}

SEC("uprobe")
int probe_session(struct pt_regs *ctx)
{
	__u64 *kept = session_cookie();

	if (!session_is_return()) {
		*kept = 4711;
		note(ctx, 0);
	} else if (*kept == 4711) { /* what the entry kept came through */
		note(ctx, 1);
	}
	return 0;
}

SEC("uprobe")
int probe_entry(struct pt_regs *ctx)
{
	note(ctx, 0);
	return 0;
}

SEC("uretprobe")
int probe_return(struct pt_regs *ctx)
{
	note(ctx, 1);
	return 0;
}

SEC("uprobe")
int empty_session(struct pt_regs *ctx)
{
	return 0;
}

SEC("uprobe")
int empty_entry(struct pt_regs *ctx)
{
	return 0;
}

SEC("uretprobe")
int empty_return(struct pt_regs *ctx)
{
	return 0;
}
