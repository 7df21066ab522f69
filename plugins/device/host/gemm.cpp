#include "gemm.hpp"

#include <dnnl.h>
#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan::host {
namespace {

/// A matrix of one row may come with any stride, but oneDNN wants at least the row's width.
std::int64_t leading(const Operand& x, std::int64_t rows, std::int64_t columns) {
  return std::max({x.stride, x.transposed ? rows : columns, std::int64_t{1}});
}

}  // namespace

void multiply(const Product& size, const Operand& a, const Operand& b, const Output& to) {
  const auto [rows, columns, depth] = size;
  if (rows == 0 || columns == 0) return;
  const float beta = to.result == Result::accumulate ? 1.0f : 0.0f;
  const dnnl_status_t status =
      dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', rows, columns, depth, 1.0f, a.data,
                 leading(a, rows, depth), b.data, leading(b, depth, columns), beta, to.data,
                 std::max(to.stride, columns));
  CARAVAN_CHECK(status == dnnl_success, DeviceError,
                fmt::format("oneDNN refused the product {}x{}x{} with status {}", rows, depth, columns,
                            static_cast<int>(status)));
}

}  // namespace caravan::host
