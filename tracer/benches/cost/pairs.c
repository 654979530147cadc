// pairs COUNT DEPTH [THREADS]: for ever, prints the nanoseconds of one malloc/free pair, the mean of COUNT of them, DEPTH calls
// down, as one of so many threads sees it.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long count;
static int depth;

__attribute__((noinline)) static void allocate_and_free(void)
{
	for (long i = 0; i < count; i++) {
		void *volatile block = malloc(64 + (i & 255));
		free(block);
	}
}

__attribute__((noinline)) static void descend(int left)
{
	if (left > 0)
		descend(left - 1);
	else
		allocate_and_free();
	__asm__ volatile("");
}

static void *run(void *quiet)
{
	for (;;) {
		struct timespec began, ended;
		// the thread's own time: it does not pass while somebody else has the processor
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
		descend(depth);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
		if (quiet)
			continue;
		double ns = (ended.tv_sec - began.tv_sec) * 1e9 + (ended.tv_nsec - began.tv_nsec);
		printf("%.1f\n", ns / count);
		fflush(stdout);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 3 ? atoi(argv[3]) : 1;

	count = argc > 1 ? atol(argv[1]) : 10000;
	depth = argc > 2 ? atoi(argv[2]) : 8;
	for (int i = 1; i < threads; i++) {
		pthread_t thread;
		pthread_create(&thread, NULL, run, &count);
	}
	run(NULL);
}
