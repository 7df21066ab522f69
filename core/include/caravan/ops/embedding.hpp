#pragma once

#include <cstdint>
#include <string>

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

/// x[t] += table[position of t]; the gradient passes through unchanged.
struct AddPositions {
  TensorView x;      ///< [T, H] in and out
  TensorView table;  ///< [P, H] f32
  TokenMap tokens;
  /// [T] i32: their positions, negative: nothing is added; or empty: tokens.position(t).
  TensorView positions;
};
/// Empty, or which position is no row of a table of so many. `positions`, where given, are in host memory.
std::string problem_with(const AddPositions& args, std::int64_t table_rows);

}  // namespace caravan
