// A log kept in one std::string that is only appended to: jumps by doubling. Beside it, a string built and dropped each round.
#include <string>

#include "../pace.h"

static std::string log_text;

OWN_FRAME void append_to_log(unsigned long round) { log_text += "round " + std::to_string(round) + " went well\n"; }

OWN_FRAME size_t build_answer(unsigned long round) {
    std::string answer;
    for (unsigned long i = 0; i < 40; i++) answer += std::to_string(round * i) + ", ";
    touch(answer.data());
    return answer.size();
}

int main(int argc, char **argv) {
    pace pace = pace_from(argc, argv, 200, 60);
    while (pace_next(&pace)) {
        append_to_log(pace.round);
        build_answer(pace.round);
    }
}
