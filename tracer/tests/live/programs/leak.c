// leak COUNT SECONDS: leaks COUNT blocks, frees as many others, then sleeps.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) static void leak_here(void)
{
	void *volatile leaked = malloc(100);
	(void)leaked;
}

__attribute__((noinline)) static void no_leak_here(void)
{
	void *volatile freed = malloc(100);
	free(freed);
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 1000;

	for (long i = 0; i < count; i++) {
		leak_here();
		no_leak_here();
	}
	if (argc > 2)
		sleep(atoi(argv[2]));
	return 0;
}
