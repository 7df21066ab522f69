#pragma once

#include <optional>

#include "caravan/host.hpp"
#include "caravan/layer.hpp"
#include "caravan/mesh.hpp"

namespace caravan {

/// Something of each token, such as its id or a row, of all ranks that hold other tokens. It travels in one
/// memory of a block for each rank, each of as many rows as the largest rank has tokens; what a rank with
/// fewer leaves of its block nobody reads.
class TokenRows {
 public:
  /// Rows travel where the host's mesh has several ranks of MeshAxis::loss.
  explicit TokenRows(const Host& host);

  bool travel() const noexcept { return ranks_.has_value(); }
  int ranks() const { return ranks_ ? ranks_->tensors.size() : 1; }
  /// Of memory that travels, along axis 0.
  std::int64_t memory_rows(const BatchShape& shape) const;
  /// Every rank has what `own` is on each of them. `own`, [T …], may be apart from `memory`, and lives until
  /// it is over.
  Ticket post_gather(Device& device, TensorView own, TensorView memory) const;
  void wait(Ticket& ticket) const { ranks_->tensors.wait(ticket); }
  /// The rank's part of such memory, [its T …].
  TensorView of_rank(const BatchShape& shape, TensorView memory, int rank) const;
  /// What a gather of so many bytes for each token sends from this rank.
  double sent_bytes(const BatchShape& shape, std::int64_t bytes_of_token) const;

 private:
  TensorView block(TensorView memory, int rank) const;

  int context_ranks_ = 1;  ///< the fastest of the axes: neighbours have parts of the same sequences
  std::optional<RankGroup> ranks_;
};

}  // namespace caravan
