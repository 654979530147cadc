// closed_loop ROUNDS THREADS: allocates and frees everything by every function of C, so that the counts must come out even.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

static long rounds;

__attribute__((noinline)) static void allocate_and_free(long i)
{
	size_t size = 16 + i % 500;
	void *volatile a = malloc(size);
	a = realloc(a, size * 3);
	void *volatile b = calloc(3, size);
	void *volatile c = realloc(NULL, size);
	void *d = NULL;
	if (posix_memalign(&d, 64, size))
		abort();
	void *volatile e = aligned_alloc(64, 128);
	void *volatile f = malloc(10);
	volatile size_t huge = SIZE_MAX / 2;
	void *volatile failed = realloc(f, huge); // must leave f as it is
	if (failed)
		abort();
	free(a);
	free(b);
	free(c);
	free(d);
	free(e);
	free(f);
	free(NULL);
}

static void *run(void *unused)
{
	for (long i = 0; i < rounds; i++)
		allocate_and_free(i);
	return unused;
}

int main(int argc, char **argv)
{
	int threads = argc > 2 ? atoi(argv[2]) : 1;
	pthread_t thread[64];

	rounds = argc > 1 ? atol(argv[1]) : 1000;
	for (int i = 0; i < threads && i < 64; i++)
		pthread_create(&thread[i], NULL, run, NULL);
	for (int i = 0; i < threads && i < 64; i++)
		pthread_join(thread[i], NULL);
	return 0;
}
