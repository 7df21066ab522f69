#include "plugins/device/cuda/grouped/grouped_operands.hpp"

#include <fmt/format.h>

#include <limits>

namespace caravan::cuda {

MappedTensor experts(const Call& call, std::string_view name, const TensorView& view, DType dtype) {
  call.check(name, view, {dtype, 3, {kAny, kAny, kAny}});
  return {view.data, dtype, view.extent(2), view.extent(1), view.extent(0), view.stride(1), view.stride(0)};
}

MappedTensor mapped(const Matrix& matrix) {
  return {
      matrix.data, matrix.dtype, matrix.columns, matrix.rows, 1, matrix.stride, matrix.stride * matrix.rows};
}

int narrow(const Call& call, std::string_view what, std::int64_t value) {
  if (value > std::numeric_limits<int>::max() / 2) {
    call.fail(fmt::format("{} {} (more than a kernel counts)", value, what));
  }
  return static_cast<int>(value);
}

}  // namespace caravan::cuda
