// Work arrives faster than it is done, and the queue in between has no bound. Variant "bounded": it drops the oldest beyond 300.
#include <deque>
#include <string>

#include "../pace.h"

static std::deque<std::string> backlog;

OWN_FRAME void accept_work(unsigned long number) {
    backlog.push_back("work item " + std::to_string(number) + std::string(150, '.'));
}

OWN_FRAME void do_work() {
    std::string answer = backlog.front() + " done";
    touch(answer.data());
    backlog.pop_front();
}

int main(int argc, char **argv) {
    pace pace = pace_from(argc, argv, 300, 60);
    while (pace_next(&pace)) {
        accept_work(pace.round);
        if (pace.round % 3 != 0) do_work();
        while (variant_is(&pace, "bounded") && backlog.size() > 300) do_work();
    }
}
