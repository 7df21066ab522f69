#include "jobs/inspect/foreign_tensors.hpp"

#include <algorithm>
#include <span>

#include "jobs/inspect/names.hpp"

namespace caravan::jobs {

ForeignTensors::ForeignTensors(const std::string& path) : file_(path) {
  for (const io::h5::Node& node : file_.nodes()) {
    if (node.kind == io::h5::Node::Kind::group) continue;
    tensors_.push_back(
        {node.path, printable(node.type), node.extents, node.bytes, node.element, node.unreadable});
    nodes_[node.path] = &node;
  }
  std::sort(tensors_.begin(), tensors_.end(),
            [](const TensorEntry& a, const TensorEntry& b) { return natural_less(a.name, b.name); });
}

void ForeignTensors::read(const TensorEntry& tensor, const Origin& origin, const Block& to) const {
  file_.read(*nodes_.at(tensor.name), origin, to.shape, std::span(to.data, to.bytes()));
}

}  // namespace caravan::jobs
