#include "jobs/inspect/box.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "jobs/inspect/names.hpp"

namespace caravan::jobs {
namespace {

/// Elements behind one step along `axis`.
std::int64_t inner_count(const Shape& extents, int axis) {
  std::int64_t count = 1;
  for (int inner = axis + 1; inner < extents.rank(); ++inner) count *= extents[inner];
  return count;
}

/// The outermost axis of which a whole step fits.
int split_axis(const Shape& extents, std::int64_t most) {
  int axis = 0;
  while (axis + 1 < extents.rank() && inner_count(extents, axis) > most) ++axis;
  return axis;
}

/// Moves to the next block; false behind the last one.
bool advance(Shape& at, const Shape& extents, int axis, std::int64_t stride) {
  at.set(axis, at[axis] + stride);
  for (; at[axis] >= extents[axis]; --axis) {
    if (axis == 0) return false;
    at.set(axis, 0);
    at.set(axis - 1, at[axis - 1] + 1);
  }
  return true;
}

Shape zeros_like(const Shape& extents) {
  Shape zeros = extents;
  for (int axis = 0; axis < extents.rank(); ++axis) zeros.set(axis, 0);
  return zeros;
}

}  // namespace

Box whole_of(const TensorEntry& tensor) {
  CARAVAN_CHECK(
      tensor.element, IoError,
      fmt::format("{} holds {} {} (it cannot be read: {})", printable(tensor.name), printable(tensor.type),
                  shape_text(tensor.extents), printable(tensor.unreadable)));
  return {{}, tensor.shape()};
}

void for_each_block(const Box& box, std::int64_t most, const BlockVisitor& visit) {
  if (box.extents.count() == 0) return;
  if (box.extents.rank() == 0) return visit(box.origin, box.extents, 0);
  const int axis = split_axis(box.extents, most);
  const std::int64_t stride = std::max<std::int64_t>(1, most / inner_count(box.extents, axis));
  Shape at = zeros_like(box.extents);
  std::uint64_t first = 0;
  do {
    Shape shape = box.extents;
    Origin origin = box.origin;
    for (int outer = 0; outer < axis; ++outer) shape.set(outer, 1);
    shape.set(axis, std::min(stride, box.extents[axis] - at[axis]));
    for (int a = 0; a <= axis; ++a) origin[static_cast<std::size_t>(a)] += at[a];
    visit(origin, shape, first);
    first += static_cast<std::uint64_t>(shape.count());
  } while (advance(at, box.extents, axis, stride));
}

std::string index_text(const std::vector<std::uint64_t>& extents, std::uint64_t index) {
  std::vector<std::uint64_t> place(extents.size());
  for (std::size_t axis = extents.size(); axis-- > 0;) {
    place[axis] = index % extents[axis];
    index /= extents[axis];
  }
  return shape_text(place);
}

std::string shape_text(const std::vector<std::uint64_t>& extents) {
  return fmt::format("[{}]", fmt::join(extents, ", "));
}

}  // namespace caravan::jobs
