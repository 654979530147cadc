// refused BLOCKS: keeps blocks that realloc and reallocarray refused to make larger.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) static void keep_refused(void)
{
	volatile size_t half = SIZE_MAX / 2;
	void *volatile kept = malloc(60);

	if (realloc(kept, half) || reallocarray(kept, half, 8))
		abort();
}

int main(int argc, char **argv)
{
	for (int i = 0; i < (argc > 1 ? atoi(argv[1]) : 100); i++)
		keep_refused();
	sleep(1);
	return 0;
}
