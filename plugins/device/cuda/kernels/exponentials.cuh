#pragma once

#include <cfloat>

#include "plugins/device/cuda/kernels/powers.cuh"
#include "plugins/device/cuda/kernels/vec.cuh"

// Σ e^z over a row, by threads that each see a part of it.
namespace caravan::cuda {

/// e^x for x ≤ 0, 0 where that is not a normal number. Relative error 2⁻²² and 2⁻²⁴ of x.
__device__ inline float exponential(float x) {
  return power_of_two(x * kLog2E);
}

/// Σ e^(z − maximum) of some logits. The empty sum has a maximum below all logits but −∞, and finite, so that
/// no difference of maxima is ∞ − ∞.
struct Exponentials {
  float maximum = -FLT_MAX, sum = 0;

  template <int N>
  __device__ void add(const Floats<N>& z) {
    float largest = z[0];
#pragma unroll
    for (int i = 1; i < N; ++i) largest = fmaxf(largest, z[i]);
    if (largest > maximum) {
      sum *= exponential(maximum - largest);
      maximum = largest;
    }
#pragma unroll
    for (int i = 0; i < N; ++i) sum += exponential(z[i] - maximum);
  }
  __device__ void add(const Exponentials& other) {
    const float both = fmaxf(maximum, other.maximum);
    sum = sum * expf(maximum - both) + other.sum * expf(other.maximum - both);
    maximum = both;
  }
  /// Of all lanes, on every lane.
  __device__ Exponentials of_warp() const {
    Exponentials all = *this;
#pragma unroll
    for (unsigned step = kWarp / 2; step > 0; step /= 2) {
      Exponentials other;
      other.maximum = __shfl_xor_sync(kWholeWarp, all.maximum, step);
      other.sum = __shfl_xor_sync(kWholeWarp, all.sum, step);
      all.add(other);
    }
    return all;
  }
};

/// What a row of logits becomes.
template <class T>
struct LogitGradient {
  T* row;
  float scale;   ///< of the loss
  float factor;  ///< scale / Σ e^(z − maximum)
  float maximum;
  std::int64_t label;

  __device__ LogitGradient(T* to, float loss_scale, const Exponentials& all, std::int64_t right)
      : row(to), scale(loss_scale), factor(loss_scale / all.sum), maximum(all.maximum), label(right) {}

  template <int N>
  __device__ void write(std::int64_t column, Floats<N> z) const {
#pragma unroll
    for (int i = 0; i < N; ++i) z[i] = exponential(z[i] - maximum) * factor;
    if (column <= label && label < column + N) {
#pragma unroll
      for (int i = 0; i < N; ++i) z[i] -= column + i == label ? scale : 0.0f;
    }
    store<N>(row + column, z);
  }
};

/// ln Σ e^z − z[label]
__device__ inline double loss_of(const Exponentials& all, double at_label) {
  return double{all.maximum} + log(double{all.sum}) - at_label;
}

}  // namespace caravan::cuda
