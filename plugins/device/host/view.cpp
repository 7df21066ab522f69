#include "view.hpp"

#include <fmt/format.h>

#include <string>

#include "caravan/error.hpp"

namespace caravan::host {
namespace {

std::string describe(const Call::Expected& expected) {
  std::string text = "[";
  for (int axis = 0; axis < expected.rank; ++axis) {
    const std::int64_t extent = expected.shape[axis];
    text += fmt::format("{}{}", axis ? ", " : "", extent == kAny ? "any" : std::to_string(extent));
  }
  return text + "]";
}

bool fits(const TensorView& view, const Call::Expected& expected) {
  if (view.shape.rank() != expected.rank) return false;
  for (int axis = 0; axis < expected.rank; ++axis) {
    if (expected.shape[axis] != kAny && expected.shape[axis] != view.extent(axis)) return false;
  }
  return true;
}

}  // namespace

void Call::fail(std::string_view problem) const {
  throw DeviceError(fmt::format("{} on device 'host': {}", operator_, problem));
}

void Call::check(std::string_view name, const TensorView& view, const Expected& expected) const {
  if (view.dtype != expected.dtype) {
    fail(fmt::format("'{}' is {} (only {} is computed here)", name, name_of(view.dtype),
                     name_of(expected.dtype)));
  }
  if (!fits(view, expected)) {
    fail(fmt::format("'{}' has shape {} (needs {})", name, to_string(view.shape), describe(expected)));
  }
  if (view.empty() && view.count() > 0) {
    fail(fmt::format("'{}' of shape {} is empty (needs memory)", name, to_string(view.shape)));
  }
  const int last = expected.rank - 1;
  if (view.extent(last) > 1 && view.stride(last) != 1) {
    fail(fmt::format("'{}' has stride {} on its last axis (needs 1)", name, view.stride(last)));
  }
}

Line Call::flat(std::string_view name, const TensorView& view, std::int64_t count) const {
  if (!view.contiguous()) fail(fmt::format("'{}' has gaps between its rows (needs contiguous memory)", name));
  const std::int64_t elements = view.count();
  check(name, TensorView(view.data, view.dtype, {elements}), {DType::f32, 1, {count}});
  return Line(view.as<float>(), elements);
}

void Call::check_offsets(const std::int32_t* offsets, std::int64_t experts, std::int64_t rows) const {
  std::int32_t previous = 0;
  for (std::int64_t e = 0; e <= experts; ++e) {
    if (offsets[e] < previous || offsets[e] > rows) {
      fail(fmt::format("offsets[{}] is {} (must ascend from {} to at most {} rows)", e, offsets[e], previous,
                       rows));
    }
    previous = offsets[e];
  }
}

void Call::check_experts(const Rows<std::int32_t>& chosen, std::int64_t experts) const {
  for (std::int64_t t = 0; t < chosen.rows; ++t) {
    for (std::int64_t k = 0; k < chosen.columns; ++k) {
      const std::int32_t expert = chosen.row(t)[k];
      if (expert < 0 || expert >= experts) {
        fail(fmt::format("expert {} of token {} (there are {})", expert, t, experts));
      }
    }
  }
}

}  // namespace caravan::host
