// Memory taken straight from the kernel, past every allocator: 2 MiB a second of touched mappings, beside a quiet heap.
// Variant "balanced": only the newest eight mappings are kept.
#include <sys/mman.h>

#include "../pace.h"

enum { MAPPING = 1 << 20, KEPT = 8 };
static char *mappings[KEPT];

OWN_FRAME void map_buffer(unsigned long number, bool balanced) {
    char **slot = &mappings[number % KEPT];
    if (balanced && *slot != NULL) munmap(*slot, MAPPING);
    *slot = mmap(NULL, MAPPING, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (*slot == MAP_FAILED) checked(NULL);
    memset(*slot, 1, MAPPING);
}

OWN_FRAME void serve_request(unsigned long round) {
    char *answer = checked(malloc(500 + round % 500));
    touch(answer);
    free(answer);
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 100, 60);
    while (pace_next(&pace)) {
        if (pace.round % 50 == 0) map_buffer(pace.round / 50, variant_is(&pace, "balanced"));
        serve_request(pace.round);
    }
}
