#pragma once

#include <optional>
#include <span>

#include "caravan/host.hpp"
#include "caravan/layer.hpp"
#include "caravan/mesh.hpp"

namespace caravan {

/// Rows of the parts of sequences that context ranks have, and those of whole sequences. They travel in one
/// memory of a block for each rank, [ranks·B·BatchShape::most_length, W], in which a rank's own rows, [B·S,
/// W], are where its block begins. Rows of whole sequences, [B·L, W], are in the order of positions, and each
/// rank has them.
class ContextRows {
 public:
  /// Each rank has whole sequences.
  ContextRows() = default;
  /// Rows travel where the host's mesh has several context ranks.
  explicit ContextRows(const Host& host);

  bool travel() const noexcept { return ranks_.has_value(); }
  int ranks() const { return ranks_ ? ranks_->tensors.size() : 1; }
  int rank() const { return ranks_ ? ranks_->tensors.rank() : 0; }
  /// What a rank has of each sequence.
  TokenMap map(const BatchShape& shape, int rank) const;
  /// Of memory for rows of `width` elements that travel.
  Shape memory(const BatchShape& shape, std::int64_t width) const;
  /// This rank's rows of such memory, [B·S, W].
  TensorView own(const BatchShape& shape, TensorView memory) const;

  /// Each rank has the rows of all, to be put into whole sequences.
  Ticket post_gather(TensorView memory) const;
  void put_together(Device& device, const BatchShape& shape, TensorView memory, TensorView whole) const;
  /// The other way.
  void take_apart(Device& device, const BatchShape& shape, TensorView whole, TensorView memory) const;
  /// [collective over the context ranks, tensor lane] Rows of some to some, so many to and from each rank.
  Ticket post_parcels(TensorView sent, std::span<const std::int64_t> counts_sent, TensorView received,
                      std::span<const std::int64_t> counts_received) const {
    return ranks_->tensors.post_all_to_all_v(sent, counts_sent, received, counts_received);
  }
  void wait(Ticket& ticket) const { ranks_->tensors.wait(ticket); }

 private:
  TensorView block(TensorView memory, int rank) const;
  std::optional<RankGroup> ranks_;
};

}  // namespace caravan
