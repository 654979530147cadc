// forker SECONDS: a child that leaks, and a parent that waits for it.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noinline)) static void leak_in_child(void)
{
	void *volatile leaked = malloc(33);
	(void)leaked;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 3;

	if (fork() == 0) {
		for (int i = 0; i < seconds * 100; i++) {
			leak_in_child();
			usleep(10000);
		}
		_exit(0);
	}
	wait(NULL);
	return 0;
}
