#pragma once

#include <cstdint>

#include "caravan/tensor.hpp"

// Matrix products, one or one an expert. Arguments of operators; the conventions stand in caravan/ops.hpp.
namespace caravan {

/// y = x·wᵀ (+ bias) (+ residual). `residual` may be `y` itself.
struct LinearForward {
  TensorView x;         ///< [T, M]
  TensorView w;         ///< [N, M]
  TensorView bias;      ///< [N] or empty
  TensorView residual;  ///< [T, N] or empty
  TensorView y;         ///< [T, N] of the compute type or f32
};

/// dx = dy·w (+ dx when `accumulate`)
struct LinearBackwardInput {
  TensorView dy;  ///< [T, N]
  TensorView w;   ///< [N, M]
  TensorView dx;  ///< [T, M]
  bool accumulate = false;
};

/// What becomes of the values in an output that sums over micro-batches.
enum class Accumulate {
  add,      ///< they are added to
  replace,  ///< they are not read: the first sum of a step, which saves clearing and reading them
};

/// dw += dyᵀ·x, dbias += Σ_t dy[t]
struct LinearBackwardWeight {
  TensorView x;                             ///< [T, M]
  TensorView dy;                            ///< [T, N]
  TensorView dw;                            ///< [N, M] += or empty
  TensorView dbias;                         ///< [N] += or empty
  Accumulate accumulate = Accumulate::add;  ///< of dw
};

/// Rows [offsets[e], offsets[e+1]) of x belong to expert e; an expert may have none. Rows beyond offsets[E]
/// are untouched.
struct GroupedLinearForward {
  TensorView x;        ///< [R, M]
  TensorView offsets;  ///< [E+1]
  TensorView w;        ///< [E, N, M]
  TensorView y;        ///< [R, N]
};
struct GroupedLinearBackwardInput {
  TensorView dy;       ///< [R, N]
  TensorView offsets;  ///< [E+1]
  TensorView w;        ///< [E, N, M]
  TensorView dx;       ///< [R, M]
};
struct GroupedLinearBackwardWeight {
  TensorView x;                             ///< [R, M]
  TensorView dy;                            ///< [R, N]
  TensorView offsets;                       ///< [E+1]
  TensorView dw;                            ///< [E, N, M] +=
  Accumulate accumulate = Accumulate::add;  ///< of dw; experts without rows are replaced by zeros
  TensorView squares;                       ///< [1] f64 += Σ dw², as dw is afterwards; or empty
};

}  // namespace caravan
