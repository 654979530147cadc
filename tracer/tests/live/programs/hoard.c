// Takes a block a millisecond and keeps it, for ever.
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) static void hoard_here(void)
{
	void *volatile kept = malloc(2000);
	(void)kept;
}

int main(void)
{
	for (;;) {
		hoard_here();
		usleep(1000);
	}
}
