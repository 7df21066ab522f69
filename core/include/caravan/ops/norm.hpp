#pragma once

#include <cstdint>

#include "caravan/tensor.hpp"

// RMSNorm. Arguments of operators; the conventions stand in caravan/ops.hpp.
namespace caravan {

/// y = x·rstd·weight, rstd = 1/sqrt(mean(x²) + eps). Source: Zhang & Sennrich 2019.
struct RmsNormForward {
  TensorView x;       ///< [T, H]
  TensorView weight;  ///< [H]
  TensorView y;       ///< [T, H]
  TensorView rstd;    ///< [T] f32
  float eps = 1e-5f;
};

/// dx = residual + rstd·(weight·dy − x·rstd²·mean(x·weight·dy)). `residual` may be `dx` itself.
struct RmsNormBackwardInput {
  TensorView x;         ///< [T, H]
  TensorView weight;    ///< [H]
  TensorView rstd;      ///< [T] f32
  TensorView dy;        ///< [T, H]
  TensorView residual;  ///< [T, H] or empty
  TensorView dx;        ///< [T, H]
};

/// dweight += Σ_t dy·x·rstd
struct RmsNormBackwardWeight {
  TensorView x;        ///< [T, H]
  TensorView rstd;     ///< [T] f32
  TensorView dy;       ///< [T, H]
  TensorView dweight;  ///< [H] f32 +=
};

}  // namespace caravan
