// 17 MiB/s of short-lived blocks, and beside them:
//   apart     16 bytes every 55 ms from a place of its own: 1 MiB an hour
//   same      one block in 2,000 of the churn itself is forgotten: 8 KiB/s
//   drop      one block in 65,000 of the churn itself is forgotten: less than what the churn swings by
//   (none)    nothing
#include "../pace.h"

enum { BLOCKS_A_ROUND = 20, RING = 256 };
static char *ring[RING];
static unsigned long allocated;
char *metric;

// A fixed sequence of sizes that looks random: the same recording every time.
static size_t next_size(void) {
    static unsigned long state = 88172645463325252ul;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return 64 + state % 8000;
}

OWN_FRAME void handle_message(unsigned long forget_every) {
    char **slot = &ring[++allocated % RING];
    if (forget_every == 0 || allocated % forget_every != 0) free(*slot);
    *slot = checked(malloc(next_size()));
    touch(*slot);
}

OWN_FRAME void count_metric(void) {
    metric = checked(malloc(16));
    touch(metric);
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 220, 60);
    unsigned long forget_every = variant_is(&pace, "same") ? 2000 : variant_is(&pace, "drop") ? 65000 : 0;
    while (pace_next(&pace)) {
        for (int i = 0; i < BLOCKS_A_ROUND; i++) handle_message(forget_every);
        if (variant_is(&pace, "apart") && pace.round % 12 == 0) count_metric();
    }
}
