#pragma once

#include <cstdint>

#include "caravan/tensor.hpp"
#include "caravan/token_map.hpp"

// Tokens to vectors. Arguments of operators; the conventions stand in caravan/ops.hpp.
namespace caravan {

/// out[t] = table[ids[t] − first_id]. The table may be one rank's part: where another rank has the id, the
/// row becomes 0. An id that no rank has is a fault.
struct EmbeddingForward {
  TensorView ids;             ///< [T]
  TensorView table;           ///< [V, H]
  TensorView out;             ///< [T, H]
  std::int64_t first_id = 0;  ///< id of the table's first row
  /// Ids of all ranks together, which begin at 0. 0: only this table's, which begin at first_id.
  std::int64_t vocabulary = 0;
};
/// Ids that other ranks have add nothing.
struct EmbeddingBackwardWeight {
  TensorView ids;             ///< [T]
  TensorView dout;            ///< [T, H]
  TensorView dtable;          ///< [V, H] +=
  std::int64_t first_id = 0;  ///< id of the table's first row
  /// Ids of all ranks together, which begin at 0. 0: only this table's, which begin at first_id.
  std::int64_t vocabulary = 0;
};

/// x[t] += table[tokens.position(t)]; the gradient passes through unchanged.
struct AddPositions {
  TensorView x;      ///< [T, H] in and out
  TensorView table;  ///< [P, H] f32
  TokenMap tokens;
};

}  // namespace caravan
