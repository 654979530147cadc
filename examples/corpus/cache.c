// A cache of 4,096 entries. How it fills:
//   (none)     in order: a straight line for the first third of the run, then full
//   random     by random keys: ever more slowly, since ever more keys are there already
//   unbounded  every key is new and nothing bounds the cache: a leak by design
#include "../pace.h"

enum { SLOTS = 4096 };
struct entry {
    unsigned long key;
    struct entry *next;
    char value[500];
};
static struct entry *cache[SLOTS];

OWN_FRAME void remember(unsigned long key) {
    struct entry **slot = &cache[key % SLOTS], *entry;
    for (entry = *slot; entry != NULL; entry = entry->next)
        if (entry->key == key) return;
    entry = checked(malloc(sizeof *entry));
    entry->key = key, entry->next = *slot, entry->value[0] = 1;
    *slot = entry;
}

OWN_FRAME void look_up(unsigned long key) {
    char *copy = checked(malloc(sizeof(struct entry)));
    memcpy(copy, &cache[key % SLOTS], sizeof cache[0]);
    touch(copy);
    free(copy);
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 800, 60);
    unsigned long random = 88172645463325252ul;
    while (pace_next(&pace)) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        if (variant_is(&pace, "random")) remember(random % SLOTS);
        else if (variant_is(&pace, "unbounded")) remember(pace.round);
        else remember(pace.round % SLOTS);
        look_up(random);
    }
}
