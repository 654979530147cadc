// pipes COUNT MILLISECONDS: opens so many pipes with a byte in each, one every so often, then waits until it is killed.
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

__attribute__((noinline)) static int keep_open(void)
{
	int ends[2];
	return pipe(ends) || write(ends[1], "x", 1) != 1;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 100, every = argc > 2 ? atoi(argv[2]) : 0;
	struct rlimit files = { .rlim_cur = 3 * count + 100, .rlim_max = 3 * count + 100 };

	setrlimit(RLIMIT_NOFILE, &files);
	for (int i = 0; i < count; i++) {
		if (keep_open())
			return 1;
		usleep(every * 1000);
	}
	return pause();
}
