// swapper FIRST SECOND: leaks in one library, and then in another one at the same addresses.
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static void *(*at[2])(void);

	for (int i = 0; i < 2 && i + 1 < argc; i++) {
		void *library = dlopen(argv[i + 1], RTLD_NOW);
		at[i] = library ? (void *(*)(void))dlsym(library, "leak") : NULL;
		if (!at[i])
			return 1;
		sleep(2); /* it is seen there */
		for (int block = 0; block < 300 + i * 200; block++)
			at[i]();
		sleep(2);
		dlclose(library);
	}
	return at[0] == at[1] ? 0 : 3;
}
