/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
/* Sampling by bytes, the arithmetic of it: integers only, and nothing of BPF, so that a test can run the very same code
 * on millions of simulated allocations.
 *
 * Samples lie at exponential distances in the stream of allocated bytes, 2^shift on average, and a block is followed when
 * one falls into it. Exponential gaps have no memory, so this is the same as following every block, for itself, with
 * probability 1 - exp(-size / 2^shift): no state to keep per thread, and the period may change at any moment.
 *
 * A followed block stands for 1 / probability blocks. Probability and weight come from the same integer, so sums have
 * no bias, however coarse the approximation of exp. */
#ifndef LEAKHOUND_SAMPLING_H
#define LEAKHOUND_SAMPLING_H

/* Probabilities are in units of 2^-32. */
#define CERTAIN (1ULL << 32)
/* exp(-16) is a ten-millionth */
#define CERTAIN_PERIODS 16
/* What a weight of one block is counted as. */
#define WEIGHT_ONE (1ULL << 16)
/* Variances are counted in units of 16 x 16 bytes. */
#define VARIANCE_BITS 4
/* 1 KiB to 1 GiB. */
#define SAMPLE_SHIFT_LEAST 10
#define SAMPLE_SHIFT_MOST 30

static inline __attribute__((always_inline)) __u64 sample_probability(__u64 size, __u32 shift)
{
	if (!shift || (size >> (shift & 31)) >= CERTAIN_PERIODS)
		return CERTAIN;
	__u64 x = (size ? size : 1) << (32 - (shift & 31)); /* periods, in 2^-32; below 2^36 */
	if (x < CERTAIN / 16) /* 1 - exp(-x) by its series */
		return x - (x * x >> 33) + (x * x >> 32) * x / 6 / CERTAIN;
	__u64 y = x >> 8; /* exp(-x) is exp(-y), squared eight times */
	__u64 e = CERTAIN - y + (y * y >> 33) - (y * y >> 32) * y / 6 / CERTAIN;
	e = e * e >> 32;
	e = e * e >> 32;
	e = e * e >> 32;
	e = e * e >> 32;
	e = e * e >> 32;
	e = e * e >> 32;
	e = e * e >> 32;
	e = e * e >> 32;
	return CERTAIN - e;
}

/* How many bytes a followed block of this size stands for. */
static inline __attribute__((always_inline)) __u64 sample_bytes(__u64 size, __u64 probability)
{
	if (probability >= CERTAIN)
		return size;
	if (size >> 31) { /* only blocks below 2^34 bytes are uncertain: three bits less leave room for them */
		__u64 eighths = (probability + 4) >> 3;
		return ((size << 29) + eighths / 2) / eighths;
	}
	return ((size << 32) + probability / 2) / probability;
}

/* How many blocks, in units of 1 / WEIGHT_ONE. */
static inline __attribute__((always_inline)) __u64 sample_weight(__u64 probability)
{
	return ((WEIGHT_ONE << 32) + probability / 2) / probability;
}

/* How much it adds to the variance of a sum of bytes (Horvitz and Thompson): (1 - probability) (size / probability)^2. */
static inline __attribute__((always_inline)) __u64 sample_variance(__u64 bytes, __u64 probability)
{
	__u64 b = bytes >> VARIANCE_BITS;

	if (probability >= CERTAIN)
		return 0;
	return b * (b * ((CERTAIN - probability) >> 16) >> 16);
}

#endif
