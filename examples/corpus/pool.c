// Objects come from a pool that grows by a chunk when it is empty and never shrinks.
//   (none)   demand swings, so the pool soon reaches its high-water mark and stays there
//   leaky    one object in ten is not returned: the pool grows for ever, seen only as chunks
#include "../pace.h"

enum { CHUNK = 64, IN_USE = 4000 };
struct object {
    struct object *next;
    char bytes[120];
};
static struct object *spare, *in_use[IN_USE];

OWN_FRAME void grow_pool(void) {
    struct object *chunk = checked(malloc(CHUNK * sizeof *chunk));
    for (int i = 0; i < CHUNK; i++) chunk[i].next = spare, spare = &chunk[i];
}

OWN_FRAME struct object *take(void) {
    if (spare == NULL) grow_pool();
    struct object *object = spare;
    spare = object->next;
    return object;
}

static void give_back(struct object *object) { object->next = spare, spare = object; }

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 100, 60);
    bool leaky = variant_is(&pace, "leaky");
    int used = 0;
    unsigned long taken = 0;
    while (pace_next(&pace)) {
        // Demand goes up and down between 1,000 and 3,000 objects twice a second.
        double phase = pace_elapsed(&pace) * 2;
        double swing = phase - (double)(long)phase;
        int demand = 1000 + (int)(2000 * (swing < 0.5 ? 2 * swing : 2 - 2 * swing));
        for (; used < demand; used++) in_use[used] = take();
        for (; used > demand; used--)
            if (!leaky || ++taken % 10 != 0) give_back(in_use[used - 1]);
    }
}
