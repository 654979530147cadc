// Reads its configuration of 1 MiB again every five seconds.
//   (none)   frees the one before
//   kept     forgets the one before: memory grows in jumps
#include "../pace.h"

static char *configuration;

OWN_FRAME char *load_configuration(void) {
    char *loaded = checked(malloc(1 << 20));
    memset(loaded, 1, 1 << 20);
    return loaded;
}

OWN_FRAME void serve_request(void) {
    char *request = checked(malloc(3000));
    touch(request);
    free(request);
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 100, 60);
    double due = 0;
    while (pace_next(&pace)) {
        if (pace_elapsed(&pace) >= due) {
            char *loaded = load_configuration();
            if (!variant_is(&pace, "kept")) free(configuration);
            configuration = loaded, due += 5;
        }
        serve_request();
    }
}
