#include <stdlib.h>
#include <unistd.h>

void *leak_in_plugin(void)
{
	void *volatile leaked = malloc(77);
	return leaked;
}

void run_plugin(int seconds)
{
	for (int i = 0; i < seconds * 100; i++) {
		void *volatile kept = leak_in_plugin();
		(void)kept;
		usleep(10000);
	}
}
