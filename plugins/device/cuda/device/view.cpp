#include "plugins/device/cuda/device/view.hpp"

#include <fmt/format.h>

#include "caravan/error.hpp"

namespace caravan::cuda {
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

bool rows_of_16_bytes(std::initializer_list<Matrix> matrices) {
  for (const Matrix& m : matrices) {
    if (!m) continue;
    const auto bytes = static_cast<std::int64_t>(size_of(m.dtype));
    const bool starts = reinterpret_cast<std::uintptr_t>(m.data) % 16 == 0;
    if (!starts || m.columns % 8 != 0 || (m.rows > 1 && m.stride * bytes % 16 != 0)) return false;
  }
  return true;
}

bool starts_on_16_bytes(std::initializer_list<Matrix> matrices) {
  for (const Matrix& m : matrices) {
    if (reinterpret_cast<std::uintptr_t>(m.data) % 16 != 0) return false;
  }
  return true;
}

void Call::fail(const std::string& problem) const {
  throw DeviceError(fmt::format("{} on device 'cuda': {}", operator_, problem));
}

DType Call::compute_type(std::string_view name, const TensorView& view) const {
  if (view.dtype != DType::f32 && view.dtype != DType::bf16) {
    fail(fmt::format("'{}' is {} (f32 and bf16 are computed here)", name, name_of(view.dtype)));
  }
  return view.dtype;
}

void Call::check(std::string_view name, const TensorView& view, const Expected& expected) const {
  if (view.dtype != expected.dtype) {
    fail(fmt::format("'{}' is {} (needs {})", name, name_of(view.dtype), name_of(expected.dtype)));
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

Matrix Call::flat(std::string_view name, const TensorView& view, DType dtype, std::int64_t count) const {
  if (!view.contiguous()) fail(fmt::format("'{}' has gaps between its rows (needs contiguous memory)", name));
  return vector(name, TensorView(view.data, view.dtype, {view.count()}), dtype, count);
}

}  // namespace caravan::cuda
