// A registry of devices by name. Devices that left stay in it; with the variant "pruned" it forgets the ones of 500 rounds ago.
#include <string>
#include <unordered_map>
#include <vector>

#include "../pace.h"

struct Device {
    std::string address;
    std::vector<int> readings;
};
static std::unordered_map<std::string, Device> registry;

static std::string name_of(unsigned long number) { return "device-with-a-long-name-" + std::to_string(number); }

// Returns something, lest its last call become a jump, which leaves no trace in a stack.
OWN_FRAME size_t register_device(unsigned long number) {
    Device &device = registry[name_of(number)];
    device.address.assign(40, 'a');
    device.readings.resize(30);
    return registry.size();
}

OWN_FRAME void forget_device(unsigned long number) { registry.erase(name_of(number)); }

int main(int argc, char **argv) {
    pace pace = pace_from(argc, argv, 100, 60);
    while (pace_next(&pace)) {
        register_device(pace.round);
        if (variant_is(&pace, "pruned")) forget_device(pace.round - 500);
    }
}
