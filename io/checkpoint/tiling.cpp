#include "io/checkpoint/tiling.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan::io {
namespace {

/// Looks through the axes one after the other. Between neighbouring borders of boxes on an axis the same
/// boxes cover every index; each such slab is looked through on the next axis.
class Tiling {
 public:
  explicit Tiling(const TensorRecord& tensor) : tensor_(tensor) {}

  /// `slab`: one index of each axis before `axis`, all of the others.
  void check(int axis, std::vector<const Box*> boxes, Box slab) {
    if (axis == tensor_.shape.rank()) return check_element(boxes, slab);
    std::sort(boxes.begin(), boxes.end(),
              [axis](const Box* a, const Box* b) { return a->begin(axis) < b->begin(axis); });
    std::vector<const Box*> open;
    std::size_t next = 0;
    for (std::int64_t at = 0; at < tensor_.shape[axis];) {
      std::erase_if(open, [&](const Box* box) { return box->end(axis) <= at; });
      for (; next < boxes.size() && boxes[next]->begin(axis) <= at; ++next) open.push_back(boxes[next]);
      std::int64_t behind = next < boxes.size() ? boxes[next]->begin(axis) : tensor_.shape[axis];
      for (const Box* box : open) behind = std::min(behind, box->end(axis));
      slab.origin[static_cast<std::size_t>(axis)] = at;
      slab.extents.set(axis, behind - at);
      count(open.size());
      check(axis + 1, open, slab);
      at = behind;
    }
  }

 private:
  void count(std::size_t boxes) {
    constexpr std::size_t kMost = std::size_t{1} << 26;
    looked_at_ += boxes + 1;
    CARAVAN_CHECK(looked_at_ <= kMost, IoError,
                  fmt::format("{} is divided into too many boxes. Is the manifest damaged?", tensor_.name));
  }
  void check_element(const std::vector<const Box*>& boxes, const Box& slab) const {
    CARAVAN_CHECK(boxes.size() == 1, IoError,
                  fmt::format("{} of {} is {}", to_string(slab), tensor_.name,
                              boxes.empty() ? "in no file" : "stored twice"));
  }

  const TensorRecord& tensor_;
  std::size_t looked_at_ = 0;
};

}  // namespace

void check_tiling(const TensorRecord& tensor, const std::vector<Box>& boxes) {
  if (tensor.shape.count() == 0) return;
  std::vector<const Box*> all;
  for (const Box& box : boxes) {
    if (box.extents.count() > 0) all.push_back(&box);
  }
  Tiling(tensor).check(0, all, Box::whole(tensor.shape));
}

}  // namespace caravan::io
