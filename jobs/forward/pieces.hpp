#pragma once

#include <cstdint>
#include <vector>

#include "caravan/token_map.hpp"
#include "jobs/forward/inputs.hpp"

namespace caravan::jobs {

/// What of a sequence is computed at once, from its first row on. Its attended tokens see each
/// other and nothing else; the temperature of a token is that of its place in the sequence, and chunks begin
/// at multiples of their size from row 0.
struct Piece {
  std::int64_t sequence = 0;
  std::int64_t begin = 0, length = 0;   ///< tokens [begin, begin + length) of the sequence
  std::int64_t lead = 0;                ///< rows without a token before the first
  bool has_holes = false;               ///< some of its tokens are masked
  std::vector<std::int64_t> rotations;  ///< [length] from 0, positions for RoPE; empty: one after another
  std::int64_t rows() const { return lead + length; }
  std::int64_t first_position() const { return begin - lead; }
};

/// Positions of the rows of a run that a piece is computed in, `own` being those that a rank has of them.
TokenMap positions_of(const Piece& piece, TokenMap own);

/// What transformers makes of attention_mask and position_ids for a model with chunks of this size (0: none).
/// With a mask, or without positions: one piece a sequence, chunks from its first attended token on.
/// Positions without a mask: a sequence for each run of positions that follow each other, with chunks by
/// position. Tokens outside all pieces are masked. IoError for what cannot be laid out so.
std::vector<Piece> pieces_of(const Sequences& sequences, std::int64_t chunk);

/// The most positions that the pieces of these sequences need a model to have.
std::int64_t positions_for(const Sequences& sequences);

}  // namespace caravan::jobs
