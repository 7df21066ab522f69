#include "plugins/device/cuda/loss/softmax_rows.hpp"

#include "caravan/ops/loss.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/loss/logit_row.cuh"

namespace caravan::cuda {
namespace {

using namespace logit_row;

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
