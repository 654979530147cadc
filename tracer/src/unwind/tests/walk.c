/* A stack with every kind of frame. It begins when a line arrives. The innermost function prints its registers and what
 * libgcc's unwinder sees, allocates a block, and waits for its standard input to end: so that others can walk the same stack. */
#define _GNU_SOURCE
#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#define BLOCK_SIZE 77777
#define FRAME __attribute__((noinline, noclone))
static volatile int sink;
static void *volatile block;

static _Unwind_Reason_Code print(struct _Unwind_Context *context, void *unused)
{
	(void)unused;
	if (_Unwind_GetIP(context)) /* some versions report a last frame at address 0 */
		printf("frame %lx\n", (unsigned long)_Unwind_GetIP(context));
	return _URC_NO_REASON;
}

FRAME static void innermost(void)
{
	unsigned long ip, sp, bp;

	__asm__ volatile("lea 0(%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2" : "=r"(ip), "=r"(sp), "=r"(bp));
	printf("registers %lx %lx %lx\n", ip, sp, bp);
	_Unwind_Backtrace(print, NULL);
	block = malloc(BLOCK_SIZE);
	printf("done\n");
	fflush(stdout);
	sink += getchar();
}

static void handler(int number)
{
	innermost();
	sink += number;
}

FRAME static int compare(const void *a, const void *b)
{
	static int once;

	if (!once) {
		once = 1;
		raise(SIGUSR1);
	}
	return *(const int *)a - *(const int *)b;
}

/* more arguments than registers, a variable frame and an alignment: only the realigned kind of frame can do all */
FRAME static int realigned(int n, int b, int c, int d, int e, int f, int g, int h)
{
	int values[16] __attribute__((aligned(64)));
	char *more = alloca(n);

	memset(more, n, n);
	for (int i = 0; i < 16; i++)
		values[i] = (g * i + h) ^ more[i % n];
	qsort(values, 16, sizeof values[0], compare);
	return values[n & 15] + b + c + d + e + f;
}

FRAME static int variable(int n)
{
	char more[n];

	memset(more, n, n);
	return realigned(n, 1, 2, 3, 4, 5, 6, 7) + more[n / 2];
}

FRAME static int large(int n)
{
	volatile char more[600 * 1024];

	more[n] = 1;
	return variable(n) + more[n];
}

FRAME static int deeper(int depth)
{
	if (!depth)
		return large(32) + sink;
	return deeper(depth - 1) + depth + sink;
}

static void *thread(void *unused)
{
	sink += deeper(5);
	return unused;
}

int main(int argc, char **argv)
{
	printf("ready\n");
	fflush(stdout);
	sink += getchar() == '\n';
	signal(SIGUSR1, handler);
	if (argc > 1 && !strcmp(argv[1], "thread")) {
		pthread_t other;
		pthread_create(&other, NULL, thread, NULL);
		pthread_join(other, NULL);
	} else {
		sink += deeper(5);
	}
	return sink == 12345;
}
