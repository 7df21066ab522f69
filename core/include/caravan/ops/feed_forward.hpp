#pragma once

#include "caravan/tensor.hpp"

// Halves of a SwiGLU feed-forward block, which devices may do in one pass where a product and what follows it
// would be two. Arguments of operators; the conventions stand in caravan/ops.hpp. With `offsets` the rows are
// those of experts, as in GroupedLinearForward; without, one matrix serves all rows.
namespace caravan {

/// pre = x·wᵀ, activated = silu(pre[:, :F])·pre[:, F:] of pre as it is stored.
struct GateUpForward {
  TensorView x;          ///< [R, M]
  TensorView offsets;    ///< [E+1] or empty
  TensorView w;          ///< [E, 2F, M], or [2F, M]
  TensorView pre;        ///< [R, 2F]
  TensorView activated;  ///< [R, F]
};

/// dpre = gradient of silu(gate)·up at pre for dactivated = dy·w.
struct DownBackwardInput {
  TensorView dy;          ///< [R, N]
  TensorView offsets;     ///< [E+1] or empty
  TensorView w;           ///< [E, N, F], or [N, F]
  TensorView pre;         ///< [R, 2F]
  TensorView dactivated;  ///< [R, F] room; what it holds afterwards differs from device to device
  TensorView dpre;        ///< [R, 2F]
};

}  // namespace caravan
