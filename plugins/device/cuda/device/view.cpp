#include "plugins/device/cuda/device/view.hpp"

#include <fmt/format.h>

#include "caravan/error.hpp"

namespace caravan::cuda {
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

void Call::check(std::string_view name, const TensorView& view, const ExpectedView& expected) const {
  if (const std::string problem = problem_with_columns(name, view, expected); !problem.empty()) fail(problem);
}

Matrix Call::flat(std::string_view name, const TensorView& view, DType dtype, std::int64_t count) const {
  if (const std::string problem = problem_with_flat(name, view, count); !problem.empty()) fail(problem);
  return vector(name, TensorView(view.data, view.dtype, {view.count()}), dtype, kAny);
}

}  // namespace caravan::cuda
