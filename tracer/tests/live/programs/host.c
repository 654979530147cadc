// host LIBRARY SECONDS: loads a library after a second, and leaks in it.
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	sleep(1);
	void *library = dlopen(argv[1], RTLD_NOW);
	void (*run)(int) = library ? (void (*)(int))dlsym(library, "run_plugin") : NULL;
	if (!run)
		return 1;
	run(atoi(argv[2]));
	return 0;
}
