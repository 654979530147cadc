// Healthy for five seconds; then a feature is switched on that leaks. Its start-up looks like a leak that has ended.
#include "../pace.h"

enum { WARM = 5 };
char *index_page, *trace;

OWN_FRAME void warm_up(void) { // not a leak: a few blocks a second until the program is warm
    index_page = checked(malloc(4000));
    touch(index_page);
}

OWN_FRAME void trace_request(unsigned long round) { // leak, once it is on
    trace = checked(malloc(180));
    snprintf(trace, 180, "request %lu", round);
}

OWN_FRAME void serve_request(void) {
    char *request = checked(malloc(3000));
    touch(request);
    free(request);
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 100, 60);
    while (pace_next(&pace)) {
        bool warm = pace_elapsed(&pace) >= WARM;
        if (!warm && pace.round % 5 == 0) warm_up();
        if (warm) trace_request(pace.round);
        serve_request();
    }
}
