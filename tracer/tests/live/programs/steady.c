// Allocates and frees for ever.
#include <stdlib.h>

__attribute__((noinline)) static void allocate_for_ever(void)
{
	for (unsigned i = 0;; i++) {
		void *volatile block = malloc(64 + i % 256);
		free(block);
	}
}

int main(void)
{
	allocate_for_ever();
}
