#pragma once

#include "caravan/tensor.hpp"
#include "caravan/token_map.hpp"

// Tokens to vectors. Arguments of operators; the conventions stand in caravan/ops.hpp.
namespace caravan {

/// out[t] = table[ids[t]]
struct EmbeddingForward {
  TensorView ids;    ///< [T]
  TensorView table;  ///< [V, H]
  TensorView out;    ///< [T, H]
};
struct EmbeddingBackwardWeight {
  TensorView ids;     ///< [T]
  TensorView dout;    ///< [T, H]
  TensorView dtable;  ///< [V, H] +=
};

/// x[t] += table[tokens.position(t)]; the gradient passes through unchanged.
struct AddPositions {
  TensorView x;      ///< [T, H] in and out
  TensorView table;  ///< [P, H] f32
  TokenMap tokens;
};

}  // namespace caravan
