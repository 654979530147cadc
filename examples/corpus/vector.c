// One array grown with realloc: the block is always new, so only its size tells.
//   (none)    by 64 items a time, for ever
//   doubling  by doubling, for ever: jumps that come ever more rarely
//   rebuilt   by 64 items a time, and thrown away every three seconds
#include "../pace.h"

static long *items;
static size_t capacity, length;

OWN_FRAME void resize(size_t wanted) {
    items = checked(realloc(items, wanted * sizeof *items));
    capacity = wanted;
}

OWN_FRAME void append(long item, bool doubling) {
    if (length == capacity) resize(doubling && capacity > 0 ? 2 * capacity : capacity + 64);
    items[length++] = item;
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 400, 60);
    double rebuilt = 0;
    while (pace_next(&pace)) {
        append((long)pace.round, variant_is(&pace, "doubling"));
        if (variant_is(&pace, "rebuilt") && pace_elapsed(&pace) >= rebuilt + 3) {
            free(items);
            items = NULL, capacity = length = 0, rebuilt += 3;
        }
    }
}
