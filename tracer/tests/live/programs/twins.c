// twins ROUNDS: two functions of one shape call the same third one from the same depth, so that the allocation sees the same
// registers and the same stack pointer: only a return address tells the two apart.
#include <stdlib.h>

__attribute__((noinline)) static void *allocate(size_t size)
{
	void *volatile block = malloc(size);
	return block;
}

__attribute__((noinline)) static void keep_left(void)
{
	void *volatile block = allocate(24);
	(void)block;
}

__attribute__((noinline)) static void keep_right(void)
{
	void *volatile block = allocate(40);
	(void)block;
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 0;

	for (long i = 0; i < rounds; i++) {
		if (i % 3)
			keep_right();
		else
			keep_left();
	}
	return 0;
}
