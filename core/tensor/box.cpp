#include "caravan/box.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan {
namespace {

/// Elements behind one step along each axis of a row-major block.
Origin strides_of(const Shape& extents) {
  return TensorView(nullptr, DType::u8, extents).strides;
}

/// Splits [begin, end) of the elements behind `axis`, whose coordinates before it are those of `box`.
class RangeBoxes {
 public:
  explicit RangeBoxes(const Shape& shape) : shape_(shape), strides_(strides_of(shape)) {}

  void add(Box box, int axis, std::int64_t begin, std::int64_t end) {
    if (begin == end) return;
    const std::int64_t step = strides_[static_cast<std::size_t>(axis)];
    const std::int64_t first = begin / step, last = end / step;  // whole steps lie between
    if (first == last) return inside(box, axis, first, begin - first * step, end - first * step);
    const bool starts_whole = begin % step == 0;
    if (!starts_whole) inside(box, axis, first, begin - first * step, step);
    take(box, axis, starts_whole ? first : first + 1, last);
    inside(box, axis, last, 0, end - last * step);
  }
  std::vector<Box> boxes;

 private:
  /// Part of one step.
  void inside(Box box, int axis, std::int64_t at, std::int64_t begin, std::int64_t end) {
    box.origin[static_cast<std::size_t>(axis)] = at;
    box.extents.set(axis, 1);
    add(box, axis + 1, begin, end);
  }
  void take(Box box, int axis, std::int64_t first, std::int64_t behind) {
    if (first == behind) return;
    box.origin[static_cast<std::size_t>(axis)] = first;
    box.extents.set(axis, behind - first);
    boxes.push_back(box);
  }

  const Shape& shape_;
  Origin strides_;
};

}  // namespace

std::string to_string(const Box& box) {
  std::string text;
  for (int axis = 0; axis < box.extents.rank(); ++axis)
    text += fmt::format("{}{}:{}", text.empty() ? "" : ", ", box.begin(axis), box.end(axis));
  return "[" + text + "]";
}

bool is_inside(const Box& box, const Shape& shape) {
  if (box.extents.rank() != shape.rank()) return false;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const std::int64_t begin = box.begin(axis), extent = box.extents[axis];
    if (begin < 0 || extent < 0 || extent > shape[axis] || begin > shape[axis] - extent) return false;
  }
  return true;
}

Box intersection(const Box& a, const Box& b) {
  CARAVAN_EXPECT(a.extents.rank() == b.extents.rank());
  Box common = a;
  for (int axis = 0; axis < a.extents.rank(); ++axis) {
    const std::int64_t begin = std::max(a.begin(axis), b.begin(axis)),
                       end = std::min(a.end(axis), b.end(axis));
    common.origin[static_cast<std::size_t>(axis)] = begin;
    common.extents.set(axis, std::max<std::int64_t>(end - begin, 0));
  }
  return common;
}

Box moved(const Box& box, const Origin& origin) {
  Box seen = box;
  for (std::size_t axis = 0; axis < static_cast<std::size_t>(box.extents.rank()); ++axis)
    seen.origin[axis] -= origin[axis];
  return seen;
}

std::vector<Box> boxes_of_range(const Shape& shape, std::int64_t begin, std::int64_t end) {
  CARAVAN_EXPECT(begin >= 0 && begin <= end && end <= shape.count());
  if (begin == end) return {};
  if (shape.rank() == 0) return {Box::whole(shape)};
  RangeBoxes range(shape);
  range.add(Box::whole(shape), 0, begin, end);
  return std::move(range.boxes);
}

TensorView block_of(const TensorView& tensor, const Box& box) {
  TensorView view = tensor;
  for (int axis = 0; axis < box.extents.rank(); ++axis)
    view = view.slice(axis, box.begin(axis), box.end(axis));
  return view;
}

CommonRuns::CommonRuns(const Box& a, const Box& b)
    : common_(intersection(a, b)), strides_a_(strides_of(a.extents)), strides_b_(strides_of(b.extents)) {
  const Shape& extents = common_.extents;
  const std::int64_t count = extents.count();
  if (count == 0) return;
  axis_ = std::max(extents.rank() - 1, 0);
  while (axis_ > 0 && extents[axis_] == a.extents[axis_] && extents[axis_] == b.extents[axis_]) --axis_;
  length_ = 1;
  for (int axis = axis_; axis < extents.rank(); ++axis) length_ *= extents[axis];
  runs_ = count / length_;
  for (std::size_t axis = 0; axis < static_cast<std::size_t>(extents.rank()); ++axis) {
    in_a_[axis] = common_.origin[axis] - a.origin[axis];
    in_b_[axis] = common_.origin[axis] - b.origin[axis];
  }
}

CommonRuns::Places CommonRuns::place(std::int64_t run) const {
  Places places{0, 0};
  for (int axis = common_.extents.rank(); axis-- > 0;) {
    const auto at = static_cast<std::size_t>(axis);
    const std::int64_t step = axis < axis_ ? run % common_.extents[axis] : 0;
    if (axis < axis_) run /= common_.extents[axis];
    places.in_a += (in_a_[at] + step) * strides_a_[at];
    places.in_b += (in_b_[at] + step) * strides_b_[at];
  }
  return places;
}

}  // namespace caravan
