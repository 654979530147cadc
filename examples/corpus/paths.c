// Six parsers share one buffer_new, and only parse_cookie forgets its buffer: the leak is in the caller, not in the allocator.
// Variant "healthy": parse_cookie remembers.
#include "../pace.h"

struct buffer {
    size_t size;
    char bytes[];
};
struct buffer *lost;
static bool healthy;

OWN_FRAME struct buffer *buffer_new(size_t size) {
    struct buffer *buffer = checked(malloc(sizeof *buffer + size));
    buffer->size = size;
    return buffer;
}

OWN_FRAME void buffer_release(struct buffer *buffer) { free(buffer); }

#define PARSER(name, size)                        \
    OWN_FRAME void name(void) {                   \
        struct buffer *buffer = buffer_new(size); \
        touch(buffer->bytes);                     \
        buffer_release(buffer);                   \
    }
PARSER(parse_method, 16)
PARSER(parse_path, 400)
PARSER(parse_header, 900)
PARSER(parse_body, 9000)
PARSER(parse_query, 120)

OWN_FRAME void parse_cookie(void) {
    lost = buffer_new(256);
    touch(lost->bytes);
    if (healthy) buffer_release(lost);
}

static void (*const parsers[])(void) = {parse_method, parse_path, parse_header, parse_body, parse_query, parse_cookie};

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 300, 60);
    healthy = variant_is(&pace, "healthy");
    while (pace_next(&pace)) parsers[pace.round % (sizeof parsers / sizeof *parsers)]();
}
