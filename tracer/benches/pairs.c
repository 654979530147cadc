// pairs COUNT DEPTH: for ever, prints the nanoseconds of one malloc/free pair, the mean of COUNT of them, DEPTH calls down.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long count;

__attribute__((noinline)) static void allocate_and_free(void)
{
	for (long i = 0; i < count; i++) {
		void *volatile block = malloc(64 + (i & 255));
		free(block);
	}
}

__attribute__((noinline)) static void descend(int depth)
{
	if (depth > 0)
		descend(depth - 1);
	else
		allocate_and_free();
	__asm__ volatile("");
}

int main(int argc, char **argv)
{
	count = argc > 1 ? atol(argv[1]) : 10000;
	for (;;) {
		struct timespec began, ended;
		clock_gettime(CLOCK_MONOTONIC, &began);
		descend(argc > 2 ? atoi(argv[2]) : 8);
		clock_gettime(CLOCK_MONOTONIC, &ended);
		double ns = (ended.tv_sec - began.tv_sec) * 1e9 + (ended.tv_nsec - began.tv_nsec);
		printf("%.1f\n", ns / count);
		fflush(stdout);
	}
}
