#include "plugins/device/cuda/kernels/columns.hpp"

#include <algorithm>

#include "plugins/device/cuda/kernels/dtype.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"

namespace caravan::cuda {
namespace {

constexpr int kColumns = 32, kRowLanes = 8;  // threads of a block
constexpr std::int64_t kMostParts = 64;

/// Parts of the rows that are summed on their own.
std::int64_t parts_of(const Matrix& x) {
  return std::clamp<std::int64_t>(x.rows / (4 * kRowLanes), 1, kMostParts);
}

template <class T>
struct Rows {
  T* data;
  std::int64_t rows, columns, stride;
};
template <class T>
Rows<T> rows_of(const Matrix& m) {
  return {m.as<T>(), m.rows, m.columns, m.stride};
}

template <class T, class B>
__global__ void add_to_rows_kernel(Rows<T> x, const B* bias) {
  const std::int64_t column = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (column >= x.columns) return;
  const float add = to_float(bias[column]);
  for (std::int64_t row = blockIdx.y; row < x.rows; row += gridDim.y) {
    T& element = x.data[row * x.stride + column];
    element = from_float<T>(to_float(element) + add);
  }
}

/// parts[blockIdx.y][column] = Σ of every gridDim.y-th group of rows.
template <class T>
__global__ void column_parts_kernel(Rows<const T> x, float* parts) {
  __shared__ float sums[kRowLanes][kColumns + 1];
  const std::int64_t column = std::int64_t{blockIdx.x} * kColumns + threadIdx.x;
  const std::int64_t step = std::int64_t{gridDim.y} * kRowLanes;
  float sum = 0;
  if (column < x.columns) {
#pragma unroll 4
    for (std::int64_t row = std::int64_t{blockIdx.y} * kRowLanes + threadIdx.y; row < x.rows; row += step)
      sum += to_float(x.data[row * x.stride + column]);
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= x.columns) return;
  for (int lane = 1; lane < kRowLanes; ++lane) sum += sums[lane][threadIdx.x];
  parts[blockIdx.y * x.columns + column] = sum;
}

__global__ void add_parts_kernel(const float* parts, std::int64_t count, std::int64_t columns, float* to) {
  const std::int64_t column = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (column >= columns) return;
  float sum = 0;
  for (std::int64_t part = 0; part < count; ++part) sum += parts[part * columns + column];
  to[column] += sum;
}

}  // namespace

void add_to_rows(const Matrix& x, const Matrix& bias, cudaStream_t stream) {
  if (x.rows == 0 || x.columns == 0) return;
  constexpr int kThreads = 256;
  const dim3 grid(blocks_for(x.columns, kThreads), blocks_for(x.rows, 1, 1024));
  with_type(x.dtype, [&]<class T>() {
    with_type(bias.dtype, [&]<class B>() {
      add_to_rows_kernel<T, B><<<grid, kThreads, 0, stream>>>(rows_of<T>(x), bias.as<const B>());
    });
  });
  CARAVAN_CUDA_LAUNCHED();
}

std::size_t column_sums_scratch(const Matrix& x) {
  return static_cast<std::size_t>(parts_of(x) * x.columns);
}

void add_column_sums(const Matrix& x, float* to, float* scratch, cudaStream_t stream) {
  if (x.rows == 0 || x.columns == 0) return;
  const std::int64_t parts = parts_of(x);
  const dim3 grid(blocks_for(x.columns, kColumns), static_cast<unsigned>(parts)), block(kColumns, kRowLanes);
  with_type(x.dtype, [&]<class T>() {
    const Rows<const T> rows{x.as<const T>(), x.rows, x.columns, x.stride};
    column_parts_kernel<T><<<grid, block, 0, stream>>>(rows, scratch);
  });
  CARAVAN_CUDA_LAUNCHED();
  add_parts_kernel<<<blocks_for(x.columns, 256), 256, 0, stream>>>(scratch, parts, x.columns, to);
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
