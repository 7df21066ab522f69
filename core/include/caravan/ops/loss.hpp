#pragma once

#include <cstdint>

#include "caravan/tensor.hpp"

// The head. Arguments of operators; the conventions stand in caravan/ops.hpp.
namespace caravan {

inline constexpr std::int32_t kIgnoredLabel = -100;

/// Linear + softmax cross-entropy without the T×V logits: a block of rows at a time. Loss is summed over
/// labels other than kIgnoredLabel. With `dx`, the gradients of gradient_scale·(sum of losses) are made in
/// the same pass, because the logits are at hand only then; dw is added to here and there is no separate W.
struct LinearCrossEntropy {
  TensorView x;         ///< [T, H]
  TensorView w;         ///< [V, H]
  TensorView bias;      ///< [V] or empty
  TensorView labels;    ///< [T]
  TensorView loss_sum;  ///< [1] f64 +=
  TensorView logits;    ///< [T, V] f32 or empty: also keep the logits
  TensorView dx;        ///< [T, H] or empty: evaluation only
  TensorView dw;        ///< [V, H] += or empty
  TensorView dbias;     ///< [V] += or empty
  float gradient_scale = 1;
};

}  // namespace caravan
