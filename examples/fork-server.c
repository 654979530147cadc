// fork-server: a parent that only waits, and three workers that do the work and leak, as many servers are built.
//   fork-server [-v] [ROUNDS_PER_SECOND [SECONDS]]      default: 50 rounds a second in each worker, 30 seconds
#include <sys/wait.h>

#include "pace.h"

enum { WORKERS = 3 };

struct visit {
    struct visit *earlier;
    char page[120];
} *visits;

OWN_FRAME void record_visit(void) { // leak: in each worker by itself
    struct visit *visit = checked(calloc(1, sizeof *visit));
    visit->earlier = visits, visits = visit;
}

OWN_FRAME void answer_request(void) { // no leak
    char *answer = checked(malloc(2048));
    touch(answer);
    free(answer);
}

static void work(struct pace pace) {
    while (pace_next(&pace)) {
        record_visit();
        answer_request();
    }
    exit(0);
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 50, 30);
    for (int worker = 0; worker < WORKERS; worker++) {
        pid_t pid = fork();
        if (pid < 0) {
            perror("cannot fork");
            return 1;
        }
        if (pid == 0) work(pace);
    }
    while (wait(NULL) > 0) {}
}
