// busy MILLISECONDS TIMES: leaks all the time, and starts itself again so often; the last one lives two seconds longer.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

__attribute__((noinline)) static void leak_all_the_time(void)
{
	void *volatile leaked = malloc(32);
	(void)leaked;
}

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	long end = now() + atol(argv[1]) + (atol(argv[2]) > 1 ? 0 : 2000);
	while (now() < end) {
		for (int i = 0; i < 10; i++)
			leak_all_the_time();
		nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	}
	char left[24];
	snprintf(left, sizeof(left), "%ld", atol(argv[2]) - 1);
	if (atol(left) > 0)
		execl("/proc/self/exe", argv[0], argv[1], left, NULL);
	return 0;
}
