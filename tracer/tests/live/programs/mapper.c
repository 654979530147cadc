// mapper FILE...: maps files as if they were libraries, leaks 1000 blocks, then sleeps for a moment.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((noinline)) static void leak_here(void)
{
	void *volatile leaked = malloc(100);
	(void)leaked;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct stat file;
		int fd = open(argv[i], O_RDONLY);
		if (fd < 0 || fstat(fd, &file) ||
		    mmap(NULL, file.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
			return 1;
	}
	usleep(700000); // longer than an interval: they are looked at while there is still something to see
	for (int i = 0; i < 1000; i++)
		leak_here();
	usleep(700000);
	return 0;
}
