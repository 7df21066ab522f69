#pragma once

#include <cstdint>

#include "caravan/tensor.hpp"

// After the backward pass. Arguments of operators; the conventions stand in caravan/ops.hpp.
namespace caravan {

/// AdamW with decoupled decay, g = gradient_scale·grad: m = β1·m + (1−β1)·g; v = β2·v + (1−β2)·g²;
/// w ← w − lr·weight_decay·w − lr·(m/(1−β1^step)) / (sqrt(v/(1−β2^step)) + eps). One pass: 28 bytes a
/// parameter in fp32. Source: Loshchilov & Hutter 2019, in the order of PyTorch's implementation.
struct AdamWStep {
  TensorView master, grad, exp_avg, exp_avg_sq;  ///< f32, contiguous, equal counts
  TensorView weight;  ///< copy in the compute type to refresh, or empty when it is the master
  double lr = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0;
  std::int64_t step = 1;      ///< 1-based
  TensorView gradient_scale;  ///< [1] f32 on the device, read late; NaN: nothing is updated
  bool decays_gradient =
      false;  ///< Adam's L2: g = gradient_scale·grad + weight_decay·w, and w decays no further
};

/// g = gradient_scale·grad + weight_decay·w. With a momentum buffer b = momentum·b + g, and g becomes b, or
/// of nesterov g + momentum·b. w ← w − lr·g. Source: PyTorch's SGD without dampening.
struct SgdStep {
  TensorView master, grad;     ///< f32, contiguous, equal counts
  TensorView momentum_buffer;  ///< the same, or empty
  TensorView weight;           ///< as AdamWStep has it
  double lr = 0, momentum = 0, weight_decay = 0;
  bool nesterov = false;
  TensorView gradient_scale;  ///< [1] f32 on the device, or empty: 1
  TensorView proceed;         ///< [1] f32 on the device, or empty; NaN in either: nothing is updated
};

/// g = gradient_scale·grad; w ← w − lr·weight_decay·w − lr·sign(β1·m + (1−β1)·g); m = β2·m + (1−β2)·g.
/// sign(0) = 0. Source: Chen et al. 2023, algorithm 2.
struct LionStep {
  TensorView master, grad, exp_avg;  ///< f32, contiguous, equal counts
  TensorView weight;                 ///< as AdamWStep has it
  double lr = 0, beta1 = 0, beta2 = 0, weight_decay = 0;
  TensorView gradient_scale;  ///< [1] f32 on the device; NaN: nothing is updated
};

/// b = β·b + (1−β)·gradient_scale·grad; grad becomes b, or of nesterov β·b + (1−β)·gradient_scale·grad.
struct MomentumStep {
  TensorView grad, momentum_buffer;  ///< f32, contiguous, equal counts; both are written
  double beta = 0;
  bool nesterov = false;
  TensorView gradient_scale;  ///< [1] f32 on the device; NaN: nothing is written
};

/// out = (a·x + b·y) / max(sqrt(squares), floor), or without `squares` a·x + b·y.
struct WeightedSum {
  TensorView x;    ///< f32, contiguous
  TensorView y;    ///< the same count, or empty: 0
  TensorView out;  ///< the same count; may be x or y itself
  double a = 1, b = 0;
  TensorView squares;  ///< [1] f64 on the device, or empty
  double floor = 0;
};

/// out += Σ x²
struct SumOfSquares {
  TensorView x;    ///< contiguous
  TensorView out;  ///< [1] f64 +=
};

/// factor = min(1, max_norm / (sqrt(squares) + 1e-6)), or 1 where max_norm is 0: PyTorch's clip_grad_norm_.
/// NaN where squares is not finite, or where factor is NaN already: a step that failed stops those that
/// follow it.
struct ClipFactor {
  TensorView squares;  ///< [1] f64: Σ gradient²
  TensorView factor;   ///< [1] f32, read and written
  double max_norm = 0;
};

/// Balancing without a loss: δ = rate·sign(mean(counts) − counts), δ −= mean(δ) when `centre`, bias += δ,
/// counts = 0. Source: Wang et al. 2024 (auxiliary-loss-free load balancing), centred as torchtitan does.
struct ExpertBiasUpdate {
  TensorView counts;  ///< [E] f32, zeroed
  TensorView bias;    ///< [E] f32
  float rate = 0;
  bool centre = true;
  TensorView proceed;  ///< [1] f32, or empty; NaN: counts are zeroed and the bias stays
};

}  // namespace caravan
