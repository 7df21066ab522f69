#include "caravan/view_check.hpp"

#include <fmt/format.h>

namespace caravan {
namespace {

std::string describe(const ExpectedView& expected) {
  std::string text = "[";
  for (int axis = 0; axis < expected.rank; ++axis) {
    const std::int64_t extent = expected.shape[axis];
    text += fmt::format("{}{}", axis ? ", " : "", extent == kAnyExtent ? "any" : std::to_string(extent));
  }
  return text + "]";
}

bool fits(const TensorView& view, const ExpectedView& expected) {
  if (view.shape.rank() != expected.rank) return false;
  for (int axis = 0; axis < expected.rank; ++axis) {
    if (expected.shape[axis] != kAnyExtent && expected.shape[axis] != view.extent(axis)) return false;
  }
  return true;
}

}  // namespace

std::string problem_with(std::string_view name, const TensorView& view, const ExpectedView& expected) {
  if (view.dtype != expected.dtype)
    return fmt::format("'{}' is {} (needs {})", name, name_of(view.dtype), name_of(expected.dtype));
  if (!fits(view, expected))
    return fmt::format("'{}' has shape {} (needs {})", name, to_string(view.shape), describe(expected));
  if (view.empty() && view.count() > 0)
    return fmt::format("'{}' of shape {} is empty (needs memory)", name, to_string(view.shape));
  return {};
}

std::string problem_with_columns(std::string_view name, const TensorView& view,
                                 const ExpectedView& expected) {
  std::string problem = problem_with(name, view, expected);
  const int last = expected.rank - 1;
  if (problem.empty() && view.extent(last) > 1 && view.stride(last) != 1)
    return fmt::format("'{}' has stride {} on its last axis (needs 1)", name, view.stride(last));
  return problem;
}

std::string problem_with_flat(std::string_view name, const TensorView& view, std::int64_t count) {
  if (!view.contiguous())
    return fmt::format("'{}' has gaps between its rows (needs contiguous memory)", name);
  if (count != kAnyExtent && view.count() != count)
    return fmt::format("'{}' has {} elements (needs {})", name, view.count(), count);
  return {};
}

}  // namespace caravan
