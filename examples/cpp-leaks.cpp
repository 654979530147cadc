// cpp-leaks: what leaks in C++ although every object seems to have an owner.
//   cpp-leaks [-v] [ROUNDS_PER_SECOND [SECONDS]]      default: 50 rounds a second, 30 seconds
#include <memory>
#include <string>
#include <unordered_map>

#include "pace.h"

struct Listener {
    char topic[96];
};
Listener *newest_listener;

OWN_FRAME void subscribe() { // leak by new: nobody unsubscribes
    newest_listener = new Listener{"prices"};
}

struct Polygon { // has no destructor
    double *corners;
    OWN_FRAME explicit Polygon(size_t count) : corners(new double[count]{}) {} // leak by new[]
};

OWN_FRAME double draw_polygon() { // the polygon itself is given back, its corners are not
    auto polygon = std::make_unique<Polygon>(24);
    return polygon->corners[0];
}

std::unordered_map<unsigned long, std::string> seen_requests;

OWN_FRAME void remember_request(unsigned long id) { // leak by a container that only grows
    seen_requests.emplace(id, std::string(200, '.'));
}

OWN_FRAME int serve_request(unsigned long id) { // no leak
    auto answer = std::make_unique<char[]>(8192);
    return snprintf(answer.get(), 8192, "answer to %lu", id);
}

int main(int argc, char **argv) {
    pace pace = pace_from(argc, argv, 50, 30);
    while (pace_next(&pace)) {
        subscribe();
        draw_polygon();
        remember_request(pace.round);
        serve_request(pace.round);
    }
}
