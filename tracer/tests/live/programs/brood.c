/* brood COUNT LIFE PAUSE: starts COUNT children, one every PAUSE microseconds, each of which leaks 100 blocks and ends after LIFE
 * milliseconds; waits for all of them. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *volatile seen;

__attribute__((noinline)) static void leak_in_brood(void)
{
	seen = malloc(64);
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1, life = argc > 2 ? atoi(argv[2]) : 100, rest = argc > 3 ? atoi(argv[3]) : 0;

	for (int i = 0; i < count; i++) {
		if (fork() == 0) {
			usleep(life * 500);
			for (int block = 0; block < 100; block++)
				leak_in_brood();
			usleep(life * 500);
			_exit(0);
		}
		if (rest)
			usleep(rest);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	while (wait(NULL) > 0)
		;
	/* who ends together with the last one is one of the last: its numbers stay */
	usleep(2000000);
	return 0;
}
