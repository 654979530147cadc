/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* What a probed function was called with. */
#ifndef LEAKHOUND_ARGUMENTS_BPF_H
#define LEAKHOUND_ARGUMENTS_BPF_H

/* The barriers keep clang from choosing an offset into the context first, which the verifier refuses. */
static __always_inline __u64 argument(struct pt_regs *ctx, __u32 number)
{
	__u64 value = 0;

	if (number == 1) {
		value = PT_REGS_PARM1(ctx);
		barrier_var(value);
	} else if (number == 2) {
		value = PT_REGS_PARM2(ctx);
		barrier_var(value);
	} else if (number == 3) {
		value = PT_REGS_PARM3(ctx);
		barrier_var(value);
	} else if (number == 4) {
		value = PT_REGS_PARM4(ctx);
		barrier_var(value);
	}
	return value;
}

static __always_inline __u64 requested_size(struct pt_regs *ctx, __u64 cookie)
{
	__u64 size = argument(ctx, COOKIE_SIZE_ARGUMENT(cookie));
	__u32 counted = COOKIE_COUNT_ARGUMENT(cookie);

	if (!counted)
		return size;
	__u64 count = argument(ctx, counted);
	__u64 most = count ? ~0ULL / count : ~0ULL;
	barrier_var(most); /* else clang turns the check into a 128-bit product, which BPF lacks */
	return size > most ? ~0ULL : size * count; /* on overflow the allocator refuses, as it does the largest size */
}

#endif
