// A cache that keeps the newest 2,000 entries. What it does when it is full:
//   (none)   forgets the older half: a sawtooth
//   evict    forgets the oldest one for every new one: a line
//   leaky    forgets the older half, but loses one in five of them without freeing it: a sawtooth whose valleys rise
#include "../pace.h"

enum { FULL = 2000 };
static char *entries[FULL];
static int count;

OWN_FRAME char *new_entry(unsigned long round) {
    char *entry = checked(malloc(256 + round % 256));
    touch(entry);
    return entry;
}

OWN_FRAME void drop_oldest(int number, bool leaky) {
    for (int i = 0; i < number; i++)
        if (!leaky || i % 5 != 0) free(entries[i]);
    memmove(entries, entries + number, (size_t)(count - number) * sizeof *entries);
    count -= number;
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 400, 60);
    while (pace_next(&pace)) {
        if (count == FULL) drop_oldest(variant_is(&pace, "evict") ? 1 : FULL / 2, variant_is(&pace, "leaky"));
        entries[count++] = new_entry(pace.round);
    }
}
