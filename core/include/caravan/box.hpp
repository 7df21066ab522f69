#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "caravan/tensor.hpp"

namespace caravan {

/// Where an index of each axis starts.
using Origin = std::array<std::int64_t, Shape::kMaxRank>;

/// A block of a tensor: where it begins, and its extents. Of a tensor without axes the one element.
struct Box {
  Origin origin{};
  Shape extents;

  static Box whole(const Shape& shape) { return {{}, shape}; }
  std::int64_t begin(int axis) const { return origin[static_cast<std::size_t>(axis)]; }
  std::int64_t end(int axis) const { return begin(axis) + extents[axis]; }
  bool operator==(const Box&) const = default;
};

/// "[2:4, 0:8]"
std::string to_string(const Box& box);
/// Whether the box lies in a tensor of that shape.
bool is_inside(const Box& box, const Shape& shape);
/// What both cover; some extents are 0 where that is nothing. Both have as many axes.
Box intersection(const Box& a, const Box& b);
/// The box as seen from `origin`.
Box moved(const Box& box, const Origin& origin);
/// At most 2·rank − 1 boxes, in row-major order, that hold the elements [begin, end) of a tensor in row-major
/// order.
std::vector<Box> boxes_of_range(const Shape& shape, std::int64_t begin, std::int64_t end);
/// The elements of the box in a tensor.
TensorView block_of(const TensorView& tensor, const Box& box);

/// Visits each longest run of elements that lie together both in a row-major block of `a`'s extents and in
/// one of `b`'s, of what both boxes cover: its first element in `a`, in `b`, and its length.
template <class Visit>
void for_each_common_run(const Box& a, const Box& b, const Visit& visit);

/// Rows of the coordinates of a box: what for_each_common_run is made of.
class CommonRuns {
 public:
  CommonRuns(const Box& a, const Box& b);
  std::int64_t runs() const noexcept { return runs_; }
  std::int64_t length() const noexcept { return length_; }
  struct Places {
    std::int64_t in_a, in_b;
  };
  Places place(std::int64_t run) const;

 private:
  Box common_;
  int axis_ = 0;  ///< the outermost that a run covers
  Origin in_a_{}, in_b_{}, strides_a_{}, strides_b_{};
  std::int64_t runs_ = 0, length_ = 0;
};

template <class Visit>
void for_each_common_run(const Box& a, const Box& b, const Visit& visit) {
  const CommonRuns common(a, b);
  for (std::int64_t run = 0; run < common.runs(); ++run) {
    const auto [in_a, in_b] = common.place(run);
    visit(in_a, in_b, common.length());
  }
}

}  // namespace caravan
