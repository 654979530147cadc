// hold COUNT: waits for a line, allocates COUNT blocks from a thousand places, says so, and holds them.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((noinline)) static void allocate(long path, int level)
{
	if (level == 0) {
		void *volatile block = malloc(64);
		(void)block;
		return;
	}
	// ten places on each of three levels
	switch (path % 10) {
	case 0: allocate(path / 10, level - 1); __asm__ volatile(""); break;
	case 1: allocate(path / 10, level - 1); __asm__ volatile("nop"); break;
	case 2: allocate(path / 10, level - 1); __asm__ volatile("nop;nop"); break;
	case 3: allocate(path / 10, level - 1); __asm__ volatile("nop;nop;nop"); break;
	case 4: allocate(path / 10, level - 1); __asm__ volatile("nop;nop;nop;nop"); break;
	case 5: allocate(path / 10, level - 1); __asm__ volatile("nop;nop;nop;nop;nop"); break;
	case 6: allocate(path / 10, level - 1); __asm__ volatile("nop;nop;nop;nop;nop;nop"); break;
	case 7: allocate(path / 10, level - 1); __asm__ volatile("nop;nop;nop;nop;nop;nop;nop"); break;
	case 8: allocate(path / 10, level - 1); __asm__ volatile("nop;nop;nop;nop;nop;nop;nop;nop"); break;
	default: allocate(path / 10, level - 1); __asm__ volatile("nop;nop;nop;nop;nop;nop;nop;nop;nop"); break;
	}
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 1000000;

	getchar();
	for (long i = 0; i < count; i++)
		allocate(i % 1000, 3);
	puts("held");
	fflush(stdout);
	for (;;)
		pause();
}
