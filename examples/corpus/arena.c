// Every batch allocates from an arena of its own, chunk by chunk, and is given back as a whole.
//   (none)   a batch lasts more than four seconds
//   kept     a batch lasts a fifth of a second, and the arenas of finished batches are forgotten
#include "../pace.h"

struct chunk {
    struct chunk *older;
    char bytes[16 << 10];
};
static struct chunk *arena;

OWN_FRAME void extend_arena(void) {
    struct chunk *chunk = checked(malloc(sizeof *chunk));
    memset(chunk->bytes, 1, sizeof chunk->bytes);
    chunk->older = arena, arena = chunk;
}

OWN_FRAME void release_arena(void) {
    while (arena != NULL) {
        struct chunk *older = arena->older;
        free(arena);
        arena = older;
    }
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 40, 60);
    bool kept = variant_is(&pace, "kept");
    double batch_seconds = kept ? 0.2 : 4.3, ends = batch_seconds;
    while (pace_next(&pace)) {
        if (pace_elapsed(&pace) >= ends) {
            ends += batch_seconds;
            if (kept) arena = NULL;
            else release_arena();
        }
        extend_arena();
    }
}
