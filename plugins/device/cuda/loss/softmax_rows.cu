#include "plugins/device/cuda/loss/softmax_rows.hpp"

#include "caravan/ops/loss.hpp"
#include "plugins/device/cuda/kernels/exponentials.cuh"
#include "plugins/device/cuda/kernels/launch.hpp"

namespace caravan::cuda {
namespace {

constexpr int kThreads = 512;

/// Of all threads, on every thread.
__device__ Exponentials merge_block(const Exponentials& mine) {
  __shared__ Exponentials parts[kThreads / kWarp];
  const Exponentials of_warp = mine.of_warp();
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = of_warp;
  __syncthreads();
  const unsigned lane = threadIdx.x % kWarp;
  return (lane < kThreads / kWarp ? parts[lane] : Exponentials{}).of_warp();
}

template <int N>
__device__ Exponentials exponentials_of(const float* row, std::int64_t columns) {
  Exponentials mine;
#pragma unroll 2
  for (std::int64_t v = std::int64_t{threadIdx.x} * N; v < columns; v += std::int64_t{kThreads} * N) {
    mine.add(load<N>(row + v));
  }
  return merge_block(mine);
}

/// The row of gradients may lie in the first bytes of the row of logits. Where an element of it is narrower
/// than a logit, a step is written when all threads have read theirs: it ends before the next one's logits.
template <int N, class T>
__device__ void write_gradient(const float* row, std::int64_t columns, const LogitGradient<T>& to) {
  for (std::int64_t begin = 0; begin < columns; begin += std::int64_t{kThreads} * N) {
    const std::int64_t v = begin + std::int64_t{threadIdx.x} * N;
    Floats<N> z{};
    if (v < columns) z = load<N>(row + v);
    if constexpr (sizeof(T) < sizeof(float)) __syncthreads();
    if (v < columns) to.write(v, z);
  }
}

template <class T>
__device__ void write_zeros(T* row, std::int64_t columns) {
  for (std::int64_t v = threadIdx.x; v < columns; v += kThreads) row[v] = from_float<T>(0);
}

struct Extents {
  std::int64_t columns, logits_stride, dlogits_stride;
};

/// A block a row.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    softmax_rows_kernel(const float* logits, const std::int32_t* labels, double* losses, T* dlogits,
                        const __grid_constant__ Extents extents, float scale) {
  const std::int64_t t = blockIdx.x, label = labels[t];
  const float* row = logits + t * extents.logits_stride;
  T* drow = dlogits ? dlogits + t * extents.dlogits_stride : nullptr;
  if (label == kIgnoredLabel) {
    if (threadIdx.x == 0) losses[t] = 0;
    if (drow) write_zeros(drow, extents.columns);
    return;
  }
  // Read before the barrier inside exponentials_of; after it another thread may have overwritten it.
  const double at_label = label >= 0 && label < extents.columns ? double{row[label]} : nan("");
  const Exponentials all = exponentials_of<N>(row, extents.columns);
  if (threadIdx.x == 0) losses[t] = loss_of(all, at_label);
  if (drow) write_gradient<N>(row, extents.columns, LogitGradient<T>(drow, scale, all, label));
}

__global__ void __launch_bounds__(kThreads)
    add_sum_kernel(const double* values, std::int64_t count, double* to) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < count; i += kThreads) sum += values[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *to += sum;
}

template <class T, int N>
void launch(const SoftmaxRows& rows, cudaStream_t stream) {
  const Matrix& logits = rows.logits;
  softmax_rows_kernel<T, N><<<static_cast<unsigned>(logits.rows), kThreads, 0, stream>>>(
      logits.as<const float>(), rows.labels, rows.losses, rows.dlogits.as<T>(),
      Extents{logits.columns, logits.stride, rows.dlogits.stride}, rows.gradient_scale);
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace

void softmax_rows(const Context& context, const SoftmaxRows& rows) {
  if (rows.logits.rows == 0) return;
  if (fits_once(context, rows)) return softmax_rows_once(context, rows);
  const bool wide = rows_of_16_bytes({rows.logits, rows.dlogits});
  with_type(rows.dlogits ? rows.dlogits.dtype : DType::f32, [&]<class T>() {
    if (wide) return launch<T, 8>(rows, context.stream());
    launch<T, 1>(rows, context.stream());
  });
}

void add_sum(const double* values, std::int64_t count, double* to, cudaStream_t stream) {
  add_sum_kernel<<<1, kThreads, 0, stream>>>(values, count, to);
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
