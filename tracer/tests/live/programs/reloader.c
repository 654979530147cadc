// reloader LIBRARY SECONDS FILE: loads an allocator, uses and unloads it, again and again; keeps a block of its own each time, and
// writes into a file how many that were.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

__attribute__((noinline)) static void keep_between(void)
{
	void *volatile kept = malloc(93);
	(void)kept;
}

__attribute__((noinline)) static int use(void *library)
{
	void *(*allocate)(size_t) = (void *(*)(size_t))dlsym(library, "malloc");
	void (*give_back)(void *) = (void (*)(void *))dlsym(library, "free");

	for (int i = 0; allocate && give_back && i < 100; i++) {
		void *volatile block = allocate(41);
		give_back(block);
	}
	return allocate && give_back;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	time_t end = time(NULL) + atoi(argv[2]);
	long rounds = 0;

	for (; time(NULL) < end; rounds++) {
		void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
		if (!library || !use(library))
			return 1;
		usleep(4000);
		dlclose(library);
		keep_between();
		usleep(1000);
	}
	FILE *file = fopen(argv[3], "w");
	return !file || fprintf(file, "%ld", rounds) < 0 || fclose(file);
}
