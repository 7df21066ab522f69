#pragma once

#include <cstdint>

#include "caravan/tensor.hpp"

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

/// x[t] += table[first_position + t mod S]; the gradient passes through unchanged.
struct AddPositions {
  TensorView x;      ///< [T, H] in and out
  TensorView table;  ///< [P, H] f32
  std::int64_t sequence_length = 0;
  std::int64_t first_position = 0;
};

}  // namespace caravan
