// Memory that the program freed and the allocator keeps: resident memory is high, live bytes are low.
//   (none)    fills 80 MiB with small blocks in four seconds, then frees 63 of 64 of them: every page is still in use a little
//   bursts    every 0.7 seconds a burst of small blocks, freed but for one in 64; those live on for six bursts
#include "../pace.h"

enum { BLOCKS = 260000, KEEP_EVERY = 64, BURST = 30000, GENERATIONS = 6 };
static char *blocks[BLOCKS];
static char *kept[GENERATIONS][BURST / KEEP_EVERY + 1];

OWN_FRAME char *new_block(int number) {
    size_t size = 200 + (size_t)(number * 7919L % 200);
    char *block = checked(malloc(size));
    memset(block, 1, size);
    return block;
}

OWN_FRAME void fill_and_thin(int *filled, int wanted) {
    for (; *filled < wanted; ++*filled) blocks[*filled] = new_block(*filled);
    if (*filled < BLOCKS || blocks[1] == NULL) return;
    for (int i = 0; i < BLOCKS; i++)
        if (i % KEEP_EVERY != 0) free(blocks[i]), blocks[i] = NULL;
}

OWN_FRAME void burst(int number) {
    char **survivors = kept[number % GENERATIONS];
    for (int i = 0; i <= BURST / KEEP_EVERY; i++) free(survivors[i]), survivors[i] = NULL;
    for (int i = 0; i < BURST; i++) blocks[i] = new_block(i);
    for (int i = 0; i < BURST; i++) {
        if (i % KEEP_EVERY == 0) survivors[i / KEEP_EVERY] = blocks[i];
        else free(blocks[i]);
    }
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 20, 60);
    int filled = 0, bursts = 0;
    while (pace_next(&pace)) {
        double elapsed = pace_elapsed(&pace);
        if (!variant_is(&pace, "bursts")) fill_and_thin(&filled, elapsed < 4 ? (int)(elapsed / 4 * BLOCKS) : BLOCKS);
        else if (elapsed >= 0.7 * bursts) burst(bursts++);
    }
}
