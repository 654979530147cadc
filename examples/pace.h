// The arguments and the heartbeat that all example programs share:
//   PROGRAM [-v] [ROUNDS_PER_SECOND [SECONDS [VARIANT]]]
// 0 rounds a second is as fast as possible, 0 seconds is for ever. Nothing is printed, unless -v asks for one line a second.
#ifndef PACE_H
#define PACE_H
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Keeps a function visible in a stack, also at -O2.
#define OWN_FRAME __attribute__((noinline))

struct pace {
    double rate, seconds;    // as asked for
    const char *variant;     // the third argument, "" when absent
    bool verbose;            // -v
    unsigned long round;     // rounds begun: the first round sees 1
    struct timespec started; // when the first round began
    double told;             // seconds after which -v last said something
};

// Ends the program when memory is exhausted: some of the examples leak, so it can happen.
static inline void *checked(void *block) {
    if (block == NULL) {
        perror("no memory left");
        exit(1);
    }
    return block;
}

// Writes to a block in a way that the compiler cannot see through: unused blocks would be optimized away with their malloc.
static inline void touch(char *block) {
    block[0] = 1;
    __asm__ volatile("" : : "r"(block) : "memory");
}

static inline double number_or_exit(const char *text) {
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(number) || number < 0) {
        fprintf(stderr, "\"%s\" is no number: PROGRAM [-v] [ROUNDS_PER_SECOND [SECONDS [VARIANT]]]\n", text);
        exit(2);
    }
    return number;
}

// The arguments given, or else the defaults.
static inline struct pace pace_from(int argc, char **argv, double rate, double seconds) {
    int next = 1;
    struct pace pace;
    memset(&pace, 0, sizeof pace);
    if (next < argc && strcmp(argv[next], "-v") == 0) pace.verbose = true, next++;
    pace.rate = next < argc ? number_or_exit(argv[next++]) : rate;
    pace.seconds = next < argc ? number_or_exit(argv[next++]) : seconds;
    pace.variant = next < argc ? argv[next++] : "";
    return pace;
}

static inline bool variant_is(const struct pace *pace, const char *name) { return strcmp(pace->variant, name) == 0; }

// Seconds since the first round.
static inline double pace_elapsed(const struct pace *pace) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - pace->started.tv_sec) + (double)(now.tv_nsec - pace->started.tv_nsec) / 1e9;
}

// Says how far it is and what is resident; allocates nothing of its own.
static inline void pace_tell(struct pace *pace, double elapsed) {
    char text[128] = "";
    long pages = 0;
    int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (statm < 0 || read(statm, text, sizeof text - 1) < 0 || sscanf(text, "%*d %ld", &pages) != 1) pages = -1;
    if (statm >= 0) close(statm);
    dprintf(STDERR_FILENO, "%3.0f s: %lu rounds, %ld KiB resident\n", elapsed, pace->round, pages * (getpagesize() / 1024));
    pace->told = elapsed;
}

// Waits for the next round; false when the time is over. A program that was held up catches up.
static inline bool pace_next(struct pace *pace) {
    if (pace->round == 0) clock_gettime(CLOCK_MONOTONIC, &pace->started);
    double elapsed = pace_elapsed(pace);
    if (pace->verbose && elapsed >= pace->told + 1) pace_tell(pace, elapsed);
    if (pace->seconds > 0 && elapsed >= pace->seconds) return false;
    double early = pace->rate > 0 ? (double)pace->round / pace->rate - elapsed : 0;
    struct timespec rest = {(time_t)early, (long)((early - (double)(time_t)early) * 1e9)};
    if (early > 0) nanosleep(&rest, NULL);
    pace->round++;
    return true;
}
#endif
