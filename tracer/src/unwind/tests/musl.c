/* A stack through musl: a sort's callback, a signal's handler, and a function of musl's that allocates. Each function prints
 * where it returns to, and the innermost its registers; then it waits for its standard input to end. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME __attribute__((noinline, noclone))
#define SAY printf("frame %lx\n", (unsigned long)__builtin_return_address(0))
static volatile int sink, armed;

FRAME static void innermost(void)
{
	unsigned long ip, sp, bp;

	SAY;
	__asm__ volatile("lea 0(%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2" : "=r"(ip), "=r"(sp), "=r"(bp));
	printf("registers %lx %lx %lx\ndone\n", ip, sp, bp);
	fflush(stdout);
	sink += getchar();
}

/* takes the place of musl's, which then cannot allocate before */
void *malloc(size_t size)
{
	static char block[64];

	if (!armed)
		return NULL;
	SAY;
	innermost();
	return size < sizeof block ? block : NULL;
}

void free(void *block)
{
	sink += block != NULL;
}

static void handler(int number)
{
	SAY;
	armed = 1;
	sink += number + (strdup("a text") != NULL);
}

FRAME static int compare(const void *a, const void *b)
{
	static int once;

	if (!once) {
		once = 1;
		SAY;
		raise(SIGUSR1);
	}
	return *(const int *)a - *(const int *)b;
}

FRAME static int deeper(int depth)
{
	int values[] = { 3, 1, 2, depth };

	SAY;
	if (!depth)
		qsort(values, 4, sizeof values[0], compare);
	else
		sink += deeper(depth - 1);
	return values[sink & 3];
}

static void *thread(void *unused)
{
	SAY;
	sink += deeper(5);
	return unused;
}

int main(int argc, char **argv)
{
	static char buffer[4096];
	static struct sigaction action;

	setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
	printf("ready\n");
	fflush(stdout);
	sink += getchar() == '\n';
	action.sa_handler = handler;
	sigaction(SIGUSR1, &action, NULL);
	if (argc > 1 && !strcmp(argv[1], "thread")) {
		pthread_t other;
		pthread_create(&other, NULL, thread, NULL);
		pthread_join(other, NULL);
	} else {
		SAY;
		sink += deeper(5);
	}
	return sink == 12345;
}
