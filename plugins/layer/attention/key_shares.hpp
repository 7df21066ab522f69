#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "caravan/context_rows.hpp"
#include "caravan/layer.hpp"

namespace caravan::attention {

/// Neighbouring tokens of each sequence, counted from the first one of the sequences of a micro-batch,
/// wherever that stands in those of the data.
struct Block {
  PositionRange positions;
  std::int64_t row = 0;  ///< of the first, among the rows of a sequence where they stand
  std::int64_t size() const { return positions.size(); }
  /// The rows of some of these tokens.
  PositionRange rows(PositionRange of) const {
    return {row + of.begin - positions.begin, row + of.end - positions.begin};
  }
};

/// Both as one whose tokens are counted on from the first: which of them come earlier stays, how far apart
/// they are is lost.
Block joined(const std::array<Block, 2>& blocks);

/// Rows, of all sequences, that go to or come from one rank in an exchange: keys, and behind them gradients.
struct Parcel {
  std::int64_t first = 0;  ///< row of the memory of all parcels
  std::int64_t keys = 0, gradients = 0;
  std::int64_t rows() const { return keys + gradients; }
};

/// What an exchange moves, for micro-batches of one shape.
struct Traffic {
  std::int64_t sequences = 0, length = 0;              ///< of that shape, the length of whole sequences
  std::vector<Parcel> sent, received;                  ///< this rank's, one for each rank
  std::vector<std::int64_t> rows_sent, rows_received;  ///< of each of them
  std::int64_t most_sent = 0, most_received = 0;       ///< by any rank, so that all ranks plan alike
  bool is_of(const BatchShape& shape) const {
    return sequences == shape.sequences && length == shape.sequence_length();
  }
};

/// Which keys, with their values, context ranks need of each other, and when they travel: all at once, or in
/// a ring: in round s those of a rank come to the s-th behind it. Of a block another rank gets the last
/// tokens, those that its queries see; of chunks that means what they share. Gradients go back the same way.
class KeyShares {
 public:
  KeyShares(const Host& host, std::int64_t chunk);

  int ranks() const { return rows_.ranks(); }
  int rank() const { return rows_.rank(); }
  bool has_ranks() const { return rows_.travel(); }
  bool in_ring() const { return in_ring_; }
  int rounds() const { return !has_ranks() ? 0 : in_ring_ ? ranks() - 1 : 1; }
  /// Whether any rank needs keys of another.
  bool travel(const BatchShape& shape) const;
  /// What a rank has of each sequence, ascending; the second may be empty.
  std::array<Block, 2> blocks(const BatchShape& shape, int rank) const;
  /// Two, whose gradients can be made one after the other: of the last rank, whose tokens are neighbours, the
  /// halves.
  std::array<Block, 2> halves(const BatchShape& shape, int rank) const;
  /// Of each block of `owner` what `reader` sees, in rows of a parcel, where a sequence has its tokens of
  /// both together.
  std::array<Block, 2> seen(const BatchShape& shape, int owner, int reader) const;
  bool comes(int owner, int reader, int round) const;

  /// Of the exchange that brings the keys of one round and takes the gradients of another, 0: none. One for
  /// each rank, of what `rank` sends or gets.
  struct Rounds {
    int keys = 0, gradients = 0;
  };
  std::vector<Parcel> sent(const BatchShape& shape, Rounds rounds, int rank) const;
  std::vector<Parcel> received(const BatchShape& shape, Rounds rounds, int rank) const;
  Traffic traffic(const BatchShape& shape, Rounds rounds) const;
  const ContextRows& rows() const { return rows_; }
  std::int64_t chunk() const { return chunk_; }

 private:
  std::int64_t rows_seen(const BatchShape& shape, int owner, int reader, int round) const;

  ContextRows rows_;
  std::int64_t chunk_;
  bool in_ring_;
};

/// Of all parcels together.
std::int64_t rows_of(const std::vector<Parcel>& parcels);

}  // namespace caravan::attention
