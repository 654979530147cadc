// Sessions that live for one to three seconds: the older ones go as new ones come.
// Variant "leaky": one session in 25 is never closed.
#include "../pace.h"

enum { SLOTS = 4096 };
static struct session {
    double closes;
    char user[380];
} *sessions[SLOTS];
struct session *forgotten;

OWN_FRAME struct session *open_session(double closes) {
    struct session *session = checked(malloc(sizeof *session));
    session->closes = closes;
    return session;
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 500, 60);
    while (pace_next(&pace)) {
        double now = pace_elapsed(&pace);
        struct session *session = open_session(now + 1 + (double)(pace.round * 7919 % 2000) / 1000);
        // At 500 a second and three seconds at most, the slot's last session closed long ago.
        if (variant_is(&pace, "leaky") && pace.round % 25 == 0) {
            forgotten = session;
            continue;
        }
        for (int i = 0; i < SLOTS; i++) {
            if (sessions[i] != NULL && sessions[i]->closes <= now) free(sessions[i]), sessions[i] = NULL;
        }
        sessions[pace.round % SLOTS] = session;
    }
}
