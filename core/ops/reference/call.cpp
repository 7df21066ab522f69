#include "core/ops/reference/call.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/error.hpp"

namespace caravan::reference {
void Call::fail(const std::string& problem) const {
  throw DeviceError(fmt::format("{} on device 'reference': {}", operator_, problem));
}

void Call::check(std::string_view name, const TensorView& view, const ExpectedView& expected) const {
  if (const std::string problem = problem_with(name, view, expected); !problem.empty()) fail(problem);
}

void Call::check_compute_type(std::string_view name, const TensorView& view) const {
  if (view.dtype != DType::f32 && view.dtype != DType::bf16) {
    fail(fmt::format("'{}' is {} (only f32 and bf16 are computed here)", name, name_of(view.dtype)));
  }
  if (first_.empty()) {
    first_ = name;
    compute_ = view.dtype;
  }
  if (view.dtype != compute_) {
    fail(fmt::format("'{}' is {} ('{}' is {}, and one call computes in one type)", name, name_of(view.dtype),
                     first_, name_of(compute_)));
  }
}

TensorView Call::check_flat(std::string_view name, const TensorView& view, std::int64_t count) const {
  if (const std::string problem = problem_with_flat(name, view, count); !problem.empty()) fail(problem);
  return TensorView(view.data, view.dtype, {view.count()});
}

void Call::check_offsets(const Vector<std::int32_t>& offsets, std::int64_t rows) const {
  std::int32_t previous = 0;
  for (std::int64_t e = 0; e < offsets.extent(0); ++e) {
    if (offsets(e) < previous || offsets(e) > rows) {
      fail(fmt::format("offsets[{}] is {} (must ascend from {} to at most {} rows)", e, offsets(e), previous,
                       rows));
    }
    previous = offsets(e);
  }
}

void Call::check_probability(float probability) const {
  if (!(probability >= 0 && probability < 1))
    fail(fmt::format("dropout probability {} (must be in [0, 1))", probability));
}

}  // namespace caravan::reference
