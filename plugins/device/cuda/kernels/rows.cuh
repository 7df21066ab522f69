#pragma once

#include <cstdint>

#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/vec.cuh"

// Operators that treat every element, or every N neighbours of a row, on their own.
namespace caravan::cuda {

/// A matrix in device code.
template <class T>
struct Rows {
  T* data;
  std::int64_t stride;

  explicit Rows(const Matrix& matrix) : data(matrix.as<T>()), stride(matrix.stride) {}
  __device__ T* at(std::int64_t row, std::int64_t column = 0) const { return data + row * stride + column; }
};

inline constexpr int kRowThreads = 256;

/// op.at<N>(row, column) for every N-th column of every row.
template <int N, class Op>
__global__ void __launch_bounds__(kRowThreads) rows_kernel(Op op, std::uint32_t steps, std::uint32_t total) {
  let_next_kernel_begin();
  wait_for_kernel_before();
  const std::uint32_t index = blockIdx.x * kRowThreads + threadIdx.x;
  if (index >= total) return;
  const std::uint32_t row = index / steps;
  op.template at<N>(row, std::int64_t{index - row * steps} * N);
}

/// One thread for N columns of a row: enough loads in flight, because an SM holds 2048 of them.
template <int N, class Op>
void launch_rows(const Context& context, const Call& call, std::int64_t rows, std::int64_t columns,
                 const Op& op) {
  const std::int64_t steps = columns / N, total = rows * steps;
  if (total >= std::int64_t{1} << 31) {
    call.fail("rows of " + std::to_string(rows * columns) + " elements in all (more than one launch serves)");
  }
  if (total == 0) return;
  launch_following(rows_kernel<N, Op>, dim3(blocks_for(total, kRowThreads)), dim3(kRowThreads),
                   context.stream(), 0, op, static_cast<std::uint32_t>(steps),
                   static_cast<std::uint32_t>(total));
}

}  // namespace caravan::cuda
