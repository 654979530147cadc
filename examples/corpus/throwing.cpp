// A raw new is followed by a call that sometimes throws: the delete after it is then never reached. One round in eight.
// Variant "guarded": a unique_ptr owns the block.
#include <memory>
#include <stdexcept>

#include "../pace.h"

struct Request {
    char bytes[700];
};

OWN_FRAME void validate(const Request &request, unsigned long round) {
    if (round % 8 == 0) throw std::invalid_argument(request.bytes);
}

OWN_FRAME void handle_raw(unsigned long round) {
    auto *request = new Request{"bad request"};
    touch(request->bytes);
    validate(*request, round);
    delete request;
}

OWN_FRAME void handle_guarded(unsigned long round) {
    auto request = std::make_unique<Request>();
    touch(request->bytes);
    validate(*request, round);
}

int main(int argc, char **argv) {
    pace pace = pace_from(argc, argv, 200, 60);
    while (pace_next(&pace)) {
        try {
            variant_is(&pace, "guarded") ? handle_guarded(pace.round) : handle_raw(pace.round);
        } catch (const std::invalid_argument &) { // answered with an error, in a real server
        }
    }
}
