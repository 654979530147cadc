// Loads 200 tables once and then only serves. All at once, or with the variant "slow" over the first four seconds.
#include "../pace.h"

enum { TABLES = 200 };
static char *tables[TABLES];

OWN_FRAME void load_table(int number) {
    tables[number] = checked(malloc(64 << 10));
    memset(tables[number], number, 64 << 10);
    touch(tables[number]);
}

OWN_FRAME void serve_request(unsigned long round) {
    char *answer = checked(malloc(2000 + round % 100));
    touch(answer);
    free(answer);
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 200, 60);
    int loaded = 0;
    while (pace_next(&pace)) {
        double share = variant_is(&pace, "slow") ? pace_elapsed(&pace) / 4 : 1;
        while (loaded < TABLES && loaded < share * TABLES) load_table(loaded++);
        serve_request(pace.round);
    }
}
