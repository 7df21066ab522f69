#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"

namespace caravan::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kBlocks = 4;  ///< on a multiprocessor at once

template <class T>
struct Operands {
  Rows<T> x, dy;
  const float* rstd;
  float* parts;  ///< [gridDim.y, width]
  std::int64_t rows;
  int width;
};

/// Σ dy·x·rstd over this warp's rows of this block's share, for N columns.
template <class T, int N>
__device__ Floats<N> sum_of_rows(const Operands<T>& o, int column) {
  Floats<N> total{};
  const std::int64_t step = std::int64_t{gridDim.y} * kWarps;
#pragma unroll 4
  for (std::int64_t row = std::int64_t{blockIdx.y} * kWarps + threadIdx.y; row < o.rows; row += step) {
    const Floats<N> x = load<N>(o.x.at(row, column)), dy = load<N>(o.dy.at(row, column));
    const float scale = __ldg(o.rstd + row);
#pragma unroll
    for (int i = 0; i < N; ++i) total[i] += dy[i] * (x[i] * scale);
  }
  return total;
}

/// A tile of 32·N columns and every gridDim.y-th group of rows a block; the parts are added in order by the
/// next kernel, so the result does not depend on timing.
template <class T, int N>
__global__ void __launch_bounds__(kWarp* kWarps, kBlocks) parts_kernel(Operands<T> o) {
  __shared__ float sums[kWarps][kWarp * N];
  const int first = static_cast<int>(blockIdx.x * kWarp) * N;
  const int column = first + static_cast<int>(threadIdx.x) * N;
  if (column < o.width) {
    const Floats<N> mine = sum_of_rows<T, N>(o, column);
#pragma unroll
    for (int i = 0; i < N; ++i) sums[threadIdx.y][threadIdx.x * N + i] = mine[i];
  }
  __syncthreads();
  const int thread = static_cast<int>(threadIdx.y * kWarp + threadIdx.x);
  if (thread >= static_cast<int>(kWarp) * N || first + thread >= o.width) return;
  float total = 0;
#pragma unroll
  for (int warp = 0; warp < kWarps; ++warp) total += sums[warp][thread];
  o.parts[std::int64_t{blockIdx.y} * o.width + first + thread] = total;
}

constexpr int kAdders = 32;

/// dweight[column] += Σ parts[·][column]; 32 columns a block, kAdders rows of threads share the parts.
__global__ void __launch_bounds__(kWarp* kAdders)
    add_parts_kernel(const float* parts, int count, int width, float* dweight) {
  __shared__ float sums[kAdders][kWarp];
  const int column = static_cast<int>(blockIdx.x * kWarp + threadIdx.x);
  float total = 0;
  if (column < width) {
#pragma unroll 4
    for (int part = static_cast<int>(threadIdx.y); part < count; part += kAdders) {
      total += parts[std::int64_t{part} * width + column];
    }
  }
  sums[threadIdx.y][threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.y != 0 || column >= width) return;
  for (int row = 1; row < kAdders; ++row) total += sums[row][threadIdx.x];
  dweight[column] += total;
}

}  // namespace

void CudaOps::rmsnorm_backward_weight(const RmsNormBackwardWeight& args) {
  const Call call("rmsnorm_backward_weight");
  const DType type = call.compute_type("x", args.x);
  const Matrix x = call.matrix("x", args.x, type, kAny, kAny);
  const Matrix dy = call.matrix("dy", args.dy, type, x.rows, x.columns);
  const float* rstd = call.floats("rstd", args.rstd, x.rows);
  float* dweight = call.floats("dweight", args.dweight, x.columns);
  if (x.rows == 0 || x.columns == 0) return;
  with_type_and_step(type, rows_of_16_bytes({x, dy}), [&]<class T, int N>() {
    const unsigned tiles = blocks_for(x.columns, kWarp * N);
    const std::int64_t at_once = std::int64_t{context_.multiprocessors()} * kBlocks;
    const unsigned shares = blocks_for(x.rows, kWarps * 4, std::max<std::int64_t>(1, at_once / tiles));
    const int width = static_cast<int>(x.columns);
    context_.workspace().begin(std::size_t{shares} * static_cast<std::size_t>(width) * sizeof(float), 1);
    float* parts = context_.workspace().take<float>(std::size_t{shares} * static_cast<std::size_t>(width));
    parts_kernel<T, N><<<dim3(tiles, shares), dim3(kWarp, kWarps), 0, context_.stream()>>>(
        {Rows<T>(x), Rows<T>(dy), rstd, parts, x.rows, width});
    CARAVAN_CUDA_LAUNCHED();
    add_parts_kernel<<<blocks_for(width, kWarp), dim3(kWarp, kAdders), 0, context_.stream()>>>(
        parts, static_cast<int>(shares), width, dweight);
    CARAVAN_CUDA_LAUNCHED();
  });
}

}  // namespace caravan::cuda
