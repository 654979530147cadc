// steady: a busy program without a leak. Whatever is said about it beyond "nothing grew" is a false alarm.
//   steady [-v] [ROUNDS_PER_SECOND [SECONDS]]      default: 1000 rounds a second, for ever
// It keeps a ring of blocks of many sizes: every round replaces the oldest one, grows it once, and gives it back later.
#include "pace.h"

enum { RING = 512 };
static char *ring[RING];

OWN_FRAME void replace_oldest(unsigned long round) {
    char **slot = &ring[round % RING];
    size_t size = 16 + round * 7919 % 4000;
    free(*slot);
    *slot = checked(round % 3 ? malloc(size) : calloc(1, size));
    (*slot)[0] = 1;
}

OWN_FRAME void grow_middle(unsigned long round) {
    char **slot = &ring[(round + RING / 2) % RING];
    *slot = checked(realloc(*slot, 4096 + round % 64));
    (*slot)[4095] = 1;
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 1000, 0);
    while (pace_next(&pace)) {
        replace_oldest(pace.round);
        grow_middle(pace.round);
    }
    for (int i = 0; i < RING; i++) free(ring[i]);
}
