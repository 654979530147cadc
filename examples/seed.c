// seed: a small server with three leaks, the program that `make demo` investigates.
//   seed [-v] [ROUNDS_PER_SECOND [SECONDS]]       default: 50 rounds a second, 30 seconds
// Every round runs the four functions below once. Only serve_request gives its memory back.
#include "pace.h"

struct session {
    struct session *next;
    char user[248];
} *sessions;
char *greeting, *journal;

OWN_FRAME void greet_client(void) { // leak: overwrites the only pointer to the greeting of the last round
    greeting = checked(malloc(64));
    strcpy(greeting, "hello");
}

static char *read_into(char *request);

OWN_FRAME void open_session(void) { // leak: sessions join the list, and nothing takes them out
    struct session *session = checked(calloc(1, sizeof *session));
    session->next = sessions, sessions = session;
}

OWN_FRAME void serve_request(void) { // no leak
    char *request = checked(malloc(4096));
    free(read_into(request));
}

OWN_FRAME void write_journal(size_t length) { // leak: the journal only grows
    journal = checked(realloc(journal, length));
    journal[length - 1] = '\n';
}

OWN_FRAME static char *read_into(char *request) {
    snprintf(request, 4096, "GET /session/%p", (void *)sessions);
    return request;
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 50, 30);
    while (pace_next(&pace)) {
        greet_client();
        open_session();
        serve_request();
        write_journal(pace.round * 128);
    }
}
