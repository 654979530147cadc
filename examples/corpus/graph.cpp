// Two nodes that own each other by shared_ptr outlive their last user. Variant "weak": the way back is a weak_ptr.
#include <memory>
#include <string>

#include "../pace.h"

struct Node {
    std::string label;
    std::shared_ptr<Node> child, owner;
    std::weak_ptr<Node> parent;
};

OWN_FRAME void build_pair(bool weak) {
    auto parent = std::make_shared<Node>();
    auto child = std::make_shared<Node>();
    parent->label.assign(90, 'p');
    parent->child = child;
    if (weak) child->parent = parent;
    else child->owner = parent;
}

int main(int argc, char **argv) {
    pace pace = pace_from(argc, argv, 80, 60);
    while (pace_next(&pace)) build_pair(variant_is(&pace, "weak"));
}
