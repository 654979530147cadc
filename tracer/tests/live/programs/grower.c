// grower ROUNDS [huge]: a program with an allocator of its own. In each round it keeps 64 KiB and gives 128 KiB back; with
// huge pages 2 MiB and 4 MiB.
#include <stdint.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static char *take(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		_exit(1);
	return memset(memory, 1, size);
}

__attribute__((noinline)) static void keep_here(void)
{
	*(volatile char *)take(64 << 10) = 2;
}

__attribute__((noinline)) static void give_back_here(void)
{
	if (munmap(take(128 << 10), 128 << 10))
		_exit(1);
}

#define HUGE (2UL << 20)

/* At an address where huge pages can begin; what is around it is never touched. */
static char *take_huge(size_t size)
{
	char *memory = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		_exit(1);
	memory = (char *)(((uintptr_t)memory + HUGE - 1) & ~(HUGE - 1));
	madvise(memory, size, MADV_HUGEPAGE);
	return memset(memory, 1, size);
}

__attribute__((noinline)) static void keep_huge(void)
{
	*(volatile char *)take_huge(HUGE) = 2;
}

__attribute__((noinline)) static void give_back_huge(void)
{
	if (munmap(take_huge(2 * HUGE), 2 * HUGE))
		_exit(1);
}

int main(int argc, char **argv)
{
	for (int left = argc > 2 ? atoi(argv[1]) : 0; left > 0; left--) {
		keep_huge();
		give_back_huge();
		usleep(50000);
	}
	if (argc > 2)
		return 0;
	/* neighbours would share a huge page where these are the rule */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	for (int left = argc > 1 ? atoi(argv[1]) : 100; left > 0; left--) {
		keep_here();
		give_back_here();
		usleep(5000);
	}
	return 0;
}
