// Sessions join a list, and nothing takes them out. Variant "closed": every session is closed after 64 others.
#include "../pace.h"

struct session {
    struct session *next;
    char user[200];
} *sessions;

enum { OPEN = 64 };
static struct session *recent[OPEN];

OWN_FRAME struct session *open_session(void) {
    struct session *session = checked(calloc(1, sizeof *session));
    session->next = sessions;
    return session;
}

OWN_FRAME void serve_request(unsigned long round) {
    char *request = checked(malloc(1000 + round % 1000));
    snprintf(request, 1000, "GET /%lu from %p", round, (void *)sessions);
    free(request);
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 50, 60);
    while (pace_next(&pace)) {
        struct session *session = open_session();
        if (variant_is(&pace, "closed")) {
            free(recent[pace.round % OPEN]);
            recent[pace.round % OPEN] = session;
        } else {
            sessions = session;
        }
        serve_request(pace.round);
    }
}
