/* holdings KIND: allocates in one of five ways, keeps about half of it, prints how many bytes it keeps, and ends.
 * One of them changes between two allocator functions that lie within each other. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long kept;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* else the compiler leaves out what nobody looks at */
static void *volatile seen;

static void keep_half(void *block, size_t size, long i)
{
	seen = block;
	if (i & 1) {
		free(block);
		return;
	}
	pthread_mutex_lock(&lock);
	kept += size;
	pthread_mutex_unlock(&lock);
}

__attribute__((noinline)) static void hold_small(void)
{
	for (long i = 0; i < 400000; i++)
		keep_half(malloc(48), 48, i);
}

__attribute__((noinline)) static void hold_mixed(void)
{
	unsigned seed = 1;
	for (long i = 0; i < 100000; i++) {
		seed = seed * 1103515245 + 12345;
		size_t size = 1 + (seed >> 16) % (16u << (seed >> 8) % 10);
		keep_half(calloc(1, size), size, i);
	}
}

/* larger than most periods */
__attribute__((noinline)) static void hold_large(void)
{
	for (long i = 0; i < 2000; i++) {
		size_t size = 20000 + i * 100;
		keep_half(malloc(size), size, i);
	}
}

__attribute__((noinline)) static void hold_grown(void)
{
	for (long i = 0; i < 30000; i++) {
		void *block = realloc(NULL, 100);
		for (size_t size = 200; size <= 800; size += 200)
			block = realloc(block, size);
		keep_half(block, 800, i);
	}
}

static void *hold_in_thread(void *unused)
{
	for (long i = 0; i < 60000; i++)
		keep_half(aligned_alloc(64, 192), 192, i);
	return unused;
}

__attribute__((noinline)) static void hold_in_threads(void)
{
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, hold_in_thread, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*hold)(void);
	} kinds[] = { { "small", hold_small }, { "mixed", hold_mixed }, { "large", hold_large },
		      { "grown", hold_grown }, { "threads", hold_in_threads } };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (argc > 1 && !strcmp(argv[1], kinds[i].name))
			kinds[i].hold();
	printf("%lu\n", kept);
	return 0;
}
