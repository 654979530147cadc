// Strings that libc allocates on the caller's behalf: the allocation lies below strdup, asprintf and getline.
#define _GNU_SOURCE
#include "../pace.h"

char *name, *message;

OWN_FRAME void copy_name(void) { // leak
    name = checked(strdup("a name of some length, copied for every round"));
}

OWN_FRAME void format_message(unsigned long round) { // leak
    if (asprintf(&message, "round %lu of a program that formats and forgets its messages", round) < 0) checked(NULL);
}

OWN_FRAME void read_line(FILE *input) { // no leak: the line and its buffer are given back
    char *line = NULL;
    size_t size = 0;
    rewind(input);
    if (getline(&line, &size, input) < 0) perror("getline");
    free(line);
}

int main(int argc, char **argv) {
    struct pace pace = pace_from(argc, argv, 60, 60);
    FILE *input = checked(tmpfile());
    fputs("a line that is read again and again\n", input);
    while (pace_next(&pace)) {
        copy_name();
        format_message(pace.round);
        read_line(input);
    }
    fclose(input);
}
