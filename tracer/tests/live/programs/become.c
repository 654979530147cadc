// become SECONDS PROGRAM ARGUMENTS: waits a second, leaks, waits, and becomes another program.
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) static void leak_before_exec(void)
{
	void *volatile leaked = malloc(50);
	(void)leaked;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	sleep(1); /* it is seen by then */
	for (int i = 0; i < 1000; i++)
		leak_before_exec();
	sleep(atoi(argv[1]));
	execv(argv[2], argv + 2);
	return 1;
}
