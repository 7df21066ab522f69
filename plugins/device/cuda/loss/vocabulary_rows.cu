#include "plugins/device/cuda/loss/vocabulary_rows.hpp"

#include "caravan/ops/loss.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/loss/logit_row.cuh"

// Rows of logits of which other ranks have other columns. A row is walked once for its statistics and, when
// all ranks have theirs, once for its gradients.
namespace caravan::cuda {
namespace {

using namespace logit_row;

struct Job {
  const float* logits;
  const std::int32_t* labels;
  std::int64_t columns, stride, first_id;
  IdRange all;

  explicit Job(const VocabularyRows& rows)
      : logits(rows.logits.as<const float>()),
        labels(rows.labels),
        columns(rows.logits.columns),
        stride(rows.logits.stride),
        first_id(rows.first_id),
        all(rows.all) {}
  __device__ const float* row(std::int64_t t) const { return logits + t * stride; }
  __device__ float at_label(std::int64_t t) const {
    const std::int64_t label = labels[t], column = label - first_id;
    if (label != kIgnoredLabel && !all.has(label)) return nanf("");
    return column >= 0 && column < columns ? row(t)[column] : 0;
  }
};

/// A block a row.
template <int N>
__global__ void __launch_bounds__(kThreads)
    statistics_kernel(const __grid_constant__ Job job, float* statistics, std::int64_t stride) {
  const std::int64_t t = blockIdx.x;
  const Exponentials all = exponentials_of<N>(job.row(t), job.columns);
  if (threadIdx.x > 0) return;
  statistics[t] = all.maximum;
  statistics[stride + t] = all.sum;
  statistics[2 * stride + t] = job.at_label(t);
}

/// A block a row. e^(z − lse) is the softmax, so the logarithm of the sum stands for the maximum, and the sum
/// is 1.
template <class T, int N>
__global__ void __launch_bounds__(kThreads) gradient_kernel(const __grid_constant__ Job job, const float* lse,
                                                            float scale, T* dlogits, std::int64_t stride) {
  const std::int64_t t = blockIdx.x, label = job.labels[t];
  T* drow = dlogits + t * stride;
  if (label == kIgnoredLabel) return write_zeros(drow, job.columns);
  const LogitGradient<T> to(drow, scale, Exponentials{lse[t], 1.0f}, label - job.first_id);
  write_gradient<N>(job.row(t), job.columns, to);
}

/// A thread a token; ranks in order, so that every rank gets the same bits.
__global__ void __launch_bounds__(kThreads)
    losses_kernel(const __grid_constant__ RankStatistics known, float* lse, double* losses) {
  const std::int64_t t = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, tokens = known.tokens;
  if (t >= tokens) return;
  float maximum = -FLT_MAX;
  for (std::int64_t p = 0; p < known.ranks; ++p) {
    maximum = fmaxf(maximum, known.statistics[3 * p * tokens + t]);
  }
  double sum = 0, at_label = 0;
  for (std::int64_t p = 0; p < known.ranks; ++p) {
    const float* of_rank = known.statistics + 3 * p * tokens + t;
    sum += double{of_rank[tokens]} * exp(double{of_rank[0]} - double{maximum});
    at_label += double{of_rank[2 * tokens]};
  }
  const double of_all = double{maximum} + log(sum);
  lse[t] = static_cast<float>(of_all);
  losses[t] = known.labels[t] == kIgnoredLabel ? 0 : of_all - at_label;
}

}  // namespace

void vocabulary_statistics(const VocabularyRows& rows, const Matrix& statistics, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(rows.logits.rows);
  auto* kernel = rows_of_16_bytes({rows.logits}) ? statistics_kernel<8> : statistics_kernel<1>;
  kernel<<<blocks, kThreads, 0, stream>>>(Job(rows), statistics.as<float>(), statistics.stride);
  CARAVAN_CUDA_LAUNCHED();
}

void vocabulary_gradient(const VocabularyRows& rows, const float* lse, float scale, const Matrix& dlogits,
                         cudaStream_t stream) {
  const bool wide = rows_of_16_bytes({rows.logits, dlogits});
  with_type_and_step(dlogits.dtype, wide, [&]<class T, int N>() {
    gradient_kernel<T, N><<<static_cast<unsigned>(rows.logits.rows), kThreads, 0, stream>>>(
        Job(rows), lse, scale, dlogits.as<T>(), dlogits.stride);
    CARAVAN_CUDA_LAUNCHED();
  });
}

void vocabulary_losses(const RankStatistics& known, float* lse, double* losses, cudaStream_t stream) {
  losses_kernel<<<blocks_for(known.tokens, kThreads), kThreads, 0, stream>>>(known, lse, losses);
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
