#include "caravan/token_rows.hpp"

namespace caravan {

TokenRows::TokenRows(const Host& host) {
  if (!host.mesh || host.mesh->degree(MeshAxis::loss) == 1) return;
  context_ranks_ = host.mesh->degree(MeshAxis::cp);
  ranks_.emplace(host.mesh->group(MeshAxis::loss));
}

std::int64_t TokenRows::memory_rows(const BatchShape& shape) const {
  return ranks() * shape.of_largest_rank().tokens();
}

TensorView TokenRows::block(TensorView memory, int rank) const {
  const std::int64_t rows = memory.extent(0) / ranks();
  return memory.rows(rank * rows, (rank + 1) * rows);
}

Ticket TokenRows::post_gather(Device& device, TensorView own, TensorView memory) const {
  Communicator& ranks = ranks_->tensors;
  const TensorView sent = block(memory, ranks.rank());
  if (own.extent(0) == sent.extent(0)) return ranks.post_all_gather(own, memory);
  device.copy(Lane::compute, sent.data, own.data, own.bytes());
  return ranks.post_all_gather(sent, memory);
}

TensorView TokenRows::of_rank(const BatchShape& shape, TensorView memory, int rank) const {
  const TensorView all = block(memory, rank);
  if (context_ranks_ == 1) return all;
  const TokenMap map = TokenMap::context(0, shape.sequence_length(), context_ranks_, rank % context_ranks_);
  return all.rows(0, shape.sequences * map.length());
}

double TokenRows::sent_bytes(const BatchShape& shape, std::int64_t bytes_of_token) const {
  return static_cast<double>(shape.of_largest_rank().tokens() * (ranks() - 1) * bytes_of_token);
}

}  // namespace caravan
