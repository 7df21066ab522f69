#include "softmax_rows.hpp"

#include "caravan/ops/loss.hpp"
#include "launch.hpp"
#include "vec.cuh"

namespace caravan::cuda {
namespace {

constexpr int kThreads = 512;

/// Σ e^(z − maximum) of some logits.
struct Exponentials {
  float maximum, sum;
};

__device__ Exponentials merge(const Exponentials& a, const Exponentials& b) {
  const float maximum = fmaxf(a.maximum, b.maximum);
  if (maximum == -INFINITY) return {maximum, a.sum + b.sum};
  return {maximum, a.sum * expf(a.maximum - maximum) + b.sum * expf(b.maximum - maximum)};
}

__device__ Exponentials merge_warp(Exponentials x) {
#pragma unroll
  for (unsigned step = kWarp / 2; step > 0; step /= 2) {
    x = merge(x, {__shfl_xor_sync(kWholeWarp, x.maximum, step), __shfl_xor_sync(kWholeWarp, x.sum, step)});
  }
  return x;
}

/// Of all threads, on every thread.
__device__ Exponentials merge_block(Exponentials x) {
  __shared__ Exponentials parts[kThreads / kWarp];
  x = merge_warp(x);
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = x;
  __syncthreads();
  const unsigned lane = threadIdx.x % kWarp;
  return merge_warp(lane < kThreads / kWarp ? parts[lane] : Exponentials{-INFINITY, 0});
}

template <int N>
__device__ Exponentials exponentials_of(const float* row, std::int64_t columns) {
  Exponentials mine{-INFINITY, 0};
#pragma unroll 2
  for (std::int64_t v = std::int64_t{threadIdx.x} * N; v < columns; v += std::int64_t{kThreads} * N) {
    const Floats<N> z = load<N>(row + v);
    float largest = z[0];
#pragma unroll
    for (int i = 1; i < N; ++i) largest = fmaxf(largest, z[i]);
    const float maximum = fmaxf(mine.maximum, largest);
    const float shift = maximum == -INFINITY ? 0 : maximum;
    mine.sum *= expf(mine.maximum - shift);
#pragma unroll
    for (int i = 0; i < N; ++i) mine.sum += expf(z[i] - shift);
    mine.maximum = maximum;
  }
  return merge_block(mine);
}

template <class T>
struct Gradient {
  T* row;
  float scale;   ///< of the loss
  float factor;  ///< scale / Σ e^(z − maximum)
  float maximum;
  std::int64_t label;
};

/// The row of gradients may lie in the first bytes of the row of logits. Where an element of it is narrower
/// than a logit, a step is written when all threads have read theirs: it ends before the next one's logits.
template <int N, class T>
__device__ void write_gradient(const float* row, std::int64_t columns, const Gradient<T>& to) {
  for (std::int64_t begin = 0; begin < columns; begin += std::int64_t{kThreads} * N) {
    const std::int64_t v = begin + std::int64_t{threadIdx.x} * N;
    Floats<N> z{};
    if (v < columns) z = load<N>(row + v);
    if constexpr (sizeof(T) < sizeof(float)) __syncthreads();
    if (v >= columns) continue;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      z[i] = expf(z[i] - to.maximum) * to.factor;
      if (v + i == to.label) z[i] -= to.scale;
    }
    store<N>(to.row + v, z);
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
  if (threadIdx.x == 0) losses[t] = double{all.maximum} + log(double{all.sum}) - at_label;
  if (!drow) return;
  write_gradient<N>(row, extents.columns, Gradient<T>{drow, scale, scale / all.sum, all.maximum, label});
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

void softmax_rows(const SoftmaxRows& rows, cudaStream_t stream) {
  if (rows.logits.rows == 0) return;
  const bool wide = rows_of_16_bytes({rows.logits, rows.dlogits});
  with_type(rows.dlogits ? rows.dlogits.dtype : DType::f32, [&]<class T>() {
    if (wide) return launch<T, 8>(rows, stream);
    launch<T, 1>(rows, stream);
  });
}

void add_sum(const double* values, std::int64_t count, double* to, cudaStream_t stream) {
  add_sum_kernel<<<1, kThreads, 0, stream>>>(values, count, to);
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
