// Sessions come and go with the traffic. What the traffic does:
//   ramp      grows for as long as the program runs: live memory grows in every snapshot, and no session stays
//   wave      swings up and down every seven seconds
//   random    comes in clumps, and sessions last by chance, 1.5 seconds on average
//   long      is steady, but every session lasts 15 seconds: for as long it looks like a leak
// A variant that ends in "-leaky", such as "ramp-leaky", forgets one session in 25.
#include <math.h>

#include "../pace.h"

enum { SLOTS = 8192 };
struct session {
    double closes;
    char user[240];
};
static struct session *sessions[SLOTS];
struct session *forgotten;

// Evenly spread over 0 to 1, and the same in every run.
static double chance(void) {
    static unsigned long state = 88172645463325252ul;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (double)(state >> 11) / (double)(1ul << 53);
}

OWN_FRAME struct session *open_session(double closes) {
    struct session *session = checked(malloc(sizeof *session));
    session->closes = closes;
    return session;
}

static void close_expired(double now) {
    for (int i = 0; i < SLOTS; i++)
        if (sessions[i] != NULL && sessions[i]->closes <= now) free(sessions[i]), sessions[i] = NULL;
}

static bool starts_with(const struct pace *pace, const char *name) { return strncmp(pace->variant, name, strlen(name)) == 0; }

// Sessions to open in this round, a fiftieth of a second.
static double arrivals(const struct pace *pace, double now) {
    if (starts_with(pace, "ramp")) return (50 + 30 * now) / 50;
    if (starts_with(pace, "wave")) return (200 + 150 * sin(now * 2 * M_PI / 7)) / 50;
    if (starts_with(pace, "random")) return -4 * log(1 - chance());
    return 2;
}

static double lifetime(const struct pace *pace) {
    if (starts_with(pace, "long")) return 15;
    return starts_with(pace, "random") ? -1.5 * log(1 - chance()) : 1 + 2 * chance();
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 50, 60);
    bool leaky = strstr(pace.variant, "-leaky") != NULL;
    unsigned long opened = 0;
    double due = 0;
    while (pace_next(&pace)) {
        double now = pace_elapsed(&pace);
        close_expired(now);
        for (due += arrivals(&pace, now); due >= 1; due--) {
            struct session *session = open_session(now + lifetime(&pace));
            if (leaky && ++opened % 25 == 0) {
                forgotten = session;
                continue;
            }
            int slot = 0;
            while (slot < SLOTS - 1 && sessions[slot] != NULL) slot++;
            free(sessions[slot]);
            sessions[slot] = session;
        }
    }
}
