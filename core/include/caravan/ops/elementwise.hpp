#pragma once

#include "caravan/random.hpp"
#include "caravan/tensor.hpp"
#include "caravan/token_map.hpp"

// Activations, dropout, sums. Arguments of operators; the conventions stand in caravan/ops.hpp.
namespace caravan {

/// out = silu(gate)·up, the halves of gate_up's columns.
struct SwigluForward {
  TensorView gate_up;  ///< [R, 2F]
  TensorView out;      ///< [R, F]
};
struct SwigluBackward {
  TensorView gate_up;   ///< [R, 2F]
  TensorView dout;      ///< [R, F]
  TensorView dgate_up;  ///< [R, 2F]; may be gate_up itself
};

/// out = x·Φ(x), exact (erf)
struct GeluForward {
  TensorView x;    ///< [R, F]
  TensorView out;  ///< [R, F]
};
struct GeluBackward {
  TensorView x;     ///< [R, F]
  TensorView dout;  ///< [R, F]
  TensorView dx;    ///< [R, F]; may be dout itself
};

/// Multiplies by 0 or 1/(1−p); element (rows.token(row), column) of the stream. Forward and backward are the
/// same call.
struct Dropout {
  TensorView x;  ///< [T, H] in and out
  float probability = 0;
  RandomKey key;
  TokenMap rows;
};

/// y += x
struct Add {
  TensorView x;  ///< any shape, contiguous
  TensorView y;  ///< same count, in and out
};

}  // namespace caravan
