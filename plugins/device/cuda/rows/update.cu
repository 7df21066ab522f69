#include <cmath>
#include <string>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/kernels/vec.cuh"

namespace caravan::cuda {
namespace {

/// The update as factors of one parameter's values: 7 streams of 4 bytes and the compute copy, nothing
/// computed twice.
struct Factors {
  float beta1, one_minus_beta1, beta2, one_minus_beta2;
  float decay;  ///< of the gradient: weight_decay, or 0
  float keep;   ///< 1 − lr·weight_decay, or 1
  float rate;   ///< lr / (1 − β1^step)
  float root;   ///< 1 / sqrt(1 − β2^step)
  float eps;
};

Factors factors_of(const AdamWStep& args) {
  const auto step = static_cast<double>(args.step);
  return {static_cast<float>(args.beta1),
          static_cast<float>(1 - args.beta1),
          static_cast<float>(args.beta2),
          static_cast<float>(1 - args.beta2),
          static_cast<float>(args.decays_gradient ? args.weight_decay : 0),
          static_cast<float>(args.decays_gradient ? 1 : 1 - args.lr * args.weight_decay),
          static_cast<float>(args.lr / (1 - std::pow(args.beta1, step))),
          static_cast<float>(1 / std::sqrt(1 - std::pow(args.beta2, step))),
          static_cast<float>(args.eps)};
}

template <class W>
struct Streams {
  float* master;
  const float* grad;
  float* exp_avg;
  float* exp_avg_sq;
  W* weight;  ///< or null
  const float* gradient_scale;
  std::int64_t count;
};

constexpr int kThreads = 256;

/// Parameters [begin, begin + N).
template <int N, class W>
__device__ void update(const Factors& f, const Streams<W>& s, float scale, std::int64_t begin) {
  Floats<N> master = load<N>(s.master + begin), m = load<N>(s.exp_avg + begin),
            v = load<N>(s.exp_avg_sq + begin);
  const Floats<N> grad = load<N>(s.grad + begin);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float g = scale * grad[i] + f.decay * master[i];
    m[i] = f.beta1 * m[i] + f.one_minus_beta1 * g;
    v[i] = f.beta2 * v[i] + f.one_minus_beta2 * g * g;
    master[i] = f.keep * master[i] - f.rate * m[i] / (sqrtf(v[i]) * f.root + f.eps);
  }
  store(s.exp_avg + begin, m);
  store(s.exp_avg_sq + begin, v);
  store(s.master + begin, master);
  if (s.weight != nullptr) store(s.weight + begin, master);
}

template <class W, int N>
__global__ void __launch_bounds__(kThreads) adamw_kernel(Factors factors, Streams<W> streams) {
  const std::int64_t begin = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * N;
  const float scale = __ldg(streams.gradient_scale);
  if (isnan(scale)) return;
  if (begin + N <= streams.count) return update<N>(factors, streams, scale, begin);
  for (std::int64_t i = begin; i < streams.count; ++i) update<1>(factors, streams, scale, i);
}

__global__ void clip_kernel(const double* squares, double max_norm, float* factor) {
  if (isnan(*factor)) return;
  const double scale = max_norm > 0 ? fmin(1.0, max_norm / (sqrt(*squares) + 1e-6)) : 1.0;
  *factor = isfinite(*squares) ? static_cast<float>(scale) : nanf("");
}

/// In f32, step by step, by one thread: the bias decides ties between experts, so it must equal the
/// reference's to the bit. Contraction changes nothing here, because every product has a factor of 0 or ±1.
__global__ void expert_bias_kernel(float* counts, float* bias, const float* proceed, int experts, float rate,
                                   bool centre) {
  extern __shared__ float seen[];
  __shared__ float mean_delta;
  double total = 0;
  for (int e = threadIdx.x; e < experts; e += kWarp) {
    seen[e] = counts[e];
    counts[e] = 0;
    total += seen[e];  // whole numbers: exact in any order
  }
  const double mean = warp_sum(total) / experts;
  const auto delta = [&](int e) { return rate * static_cast<float>((mean > seen[e]) - (mean < seen[e])); };
  __syncwarp();
  if (threadIdx.x == 0) {
    mean_delta = 0;
    for (int e = 0; centre && e < experts; ++e) mean_delta += delta(e);
    mean_delta /= static_cast<float>(experts);
  }
  __syncwarp();
  if (proceed != nullptr && isnan(*proceed)) return;
  for (int e = threadIdx.x; e < experts; e += kWarp) bias[e] += delta(e) - mean_delta;
}

}  // namespace

void CudaOps::adamw_step(const AdamWStep& args) {
  const Call call("adamw_step");
  const Matrix master = call.flat("master", args.master, DType::f32, kAny);
  const std::int64_t count = master.columns;
  const Matrix grad = call.flat("grad", args.grad, DType::f32, count),
               exp_avg = call.flat("exp_avg", args.exp_avg, DType::f32, count),
               exp_avg_sq = call.flat("exp_avg_sq", args.exp_avg_sq, DType::f32, count);
  const DType type = args.weight.empty() ? DType::f32 : call.compute_type("weight", args.weight);
  const Matrix weight = args.weight.empty() ? Matrix{} : call.flat("weight", args.weight, type, count);
  const float* scale = call.floats("gradient_scale", args.gradient_scale, 1);
  if (args.step < 1) call.fail("step " + std::to_string(args.step) + " (the first step is 1)");
  if (count == 0) return;
  const bool wide = starts_on_16_bytes({master, grad, exp_avg, exp_avg_sq, weight});
  with_type(type, [&]<class W>() {
    const Streams<W> streams{master.as<float>(),
                             grad.as<float>(),
                             exp_avg.as<float>(),
                             exp_avg_sq.as<float>(),
                             weight.as<W>(),
                             scale,
                             count};
    const int step = wide ? 4 : 1;
    (wide ? adamw_kernel<W, 4>
          : adamw_kernel<W, 1>)<<<blocks_for(count, kThreads * step), kThreads, 0, context_.stream()>>>(
        factors_of(args), streams);
    CARAVAN_CUDA_LAUNCHED();
  });
}

void CudaOps::clip_factor(const ClipFactor& args) {
  const Call call("clip_factor");
  const double* squares = call.scalar_f64("squares", args.squares);
  float* factor = call.floats("factor", args.factor, 1);
  clip_kernel<<<1, 1, 0, context_.stream()>>>(squares, args.max_norm, factor);
  CARAVAN_CUDA_LAUNCHED();
}

void CudaOps::expert_bias_update(const ExpertBiasUpdate& args) {
  constexpr std::int64_t kMost = 8192;
  const Call call("expert_bias_update");
  const Matrix counts = call.vector("counts", args.counts, DType::f32, kAny);
  const std::int64_t experts = counts.columns;
  float* bias = call.floats("bias", args.bias, experts);
  if (experts > kMost) call.fail(std::to_string(experts) + " experts (at most 8192 are served)");
  if (experts == 0) return;
  expert_bias_kernel<<<1, kWarp, static_cast<std::size_t>(experts) * sizeof(float), context_.stream()>>>(
      counts.as<float>(), bias, call.optional_floats("proceed", args.proceed, 1), static_cast<int>(experts),
      args.rate, args.centre);
  CARAVAN_CUDA_LAUNCHED();
}

}  // namespace caravan::cuda
