/* traffic SECONDS RATE: pairs of malloc and free at a rate per second (0: as fast as it goes), and every tenth of a second a
 * line with how many there were in it. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

__attribute__((noinline)) static void allocate_and_free(long pairs)
{
	for (long i = 0; i < pairs; i++) {
		void *volatile block = malloc(64 + (i & 255));
		free(block);
	}
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 1, rate = argc > 2 ? atof(argv[2]) : 0;
	double began = now(), line = began + 0.1;
	long pairs = 0, done = 0;
	static char buffer[1 << 16];

	setvbuf(stdout, buffer, _IOLBF, sizeof(buffer));
	while (now() < began + seconds) {
		long due = rate > 0 ? (now() - began) * rate - done : 1000;
		if (due > 0) {
			allocate_and_free(due);
			pairs += due;
			done += due;
		}
		if (rate > 0)
			nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
		if (now() >= line) {
			printf("%ld\n", pairs);
			pairs = 0;
			line += 0.1;
		}
	}
	return 0;
}
