// A library of which there are versions: VERSION is the name of the function that leaks.
#include <stdlib.h>

__attribute__((noinline)) void *VERSION(void)
{
	void *volatile leaked = malloc(40);
	return leaked;
}

void *leak(void)
{
	void *volatile leaked = VERSION();
	return leaked;
}
