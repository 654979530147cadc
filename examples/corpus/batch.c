// Collects rows, uses them and frees them all. After ten seconds, once; or with the
// variants "repeat" and "seldom" every four and every nine seconds.
#include "../pace.h"

struct row {
    struct row *next;
    char text[300];
} *rows;

OWN_FRAME void collect_row(unsigned long number) {
    struct row *row = checked(malloc(sizeof *row));
    snprintf(row->text, sizeof row->text, "row %lu", number);
    row->next = rows, rows = row;
}

OWN_FRAME void finish_batch(void) {
    while (rows != NULL) {
        struct row *next = rows->next;
        free(rows);
        rows = next;
    }
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 200, 60);
    double period = variant_is(&pace, "repeat") ? 4 : variant_is(&pace, "seldom") ? 9 : 0;
    double ends = period > 0 ? period : 10;
    bool collecting = true;
    while (pace_next(&pace)) {
        if (pace_elapsed(&pace) >= ends) {
            finish_batch();
            collecting = period > 0;
            ends += period;
        }
        if (collecting) collect_row(pace.round);
    }
}
