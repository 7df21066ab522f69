#include "caravan/context_rows.hpp"

namespace caravan {
namespace {

/// Some rows of each sequence, seen as one row a sequence: [B, rows·W].
TensorView of_each_sequence(TensorView rows, std::int64_t sequences, std::int64_t length, std::int64_t begin,
                            std::int64_t end) {
  const std::int64_t width = rows.extent(1);
  return rows.rows(0, sequences * length)
      .reshape({sequences, length * width})
      .slice(1, begin * width, end * width);
}

/// Calls visit(rows of a rank, the same rows of whole sequences) for each range of positions that it has.
template <class Visit>
void for_each_range(const BatchShape& shape, const TokenMap& map, TensorView part, TensorView whole,
                    const Visit& visit) {
  std::int64_t row = 0;
  for (const PositionRange& range : map.ranges()) {
    visit(of_each_sequence(part, shape.sequences, map.length(), row, row + range.size()),
          of_each_sequence(whole, shape.sequences, map.global_length, range.begin, range.end));
    row += range.size();
  }
}

}  // namespace

ContextRows::ContextRows(const Host& host) {
  if (host.mesh && host.mesh->degree(MeshAxis::cp) > 1) ranks_.emplace(host.mesh->group(MeshAxis::cp));
}

TokenMap ContextRows::map(const BatchShape& shape, int rank) const {
  return TokenMap::context(0, shape.sequence_length(), ranks(), rank);
}

Shape ContextRows::memory(const BatchShape& shape, std::int64_t width) const {
  return {ranks() * shape.of_largest_rank().tokens(), width};
}

TensorView ContextRows::own(const BatchShape& shape, TensorView memory) const {
  return block(memory, rank()).rows(0, shape.tokens());
}

TensorView ContextRows::block(TensorView memory, int rank) const {
  const std::int64_t rows = memory.extent(0) / ranks();
  return memory.rows(rank * rows, (rank + 1) * rows);
}

Ticket ContextRows::post_gather(TensorView memory) const {
  return ranks_->tensors.post_all_gather(block(memory, rank()), memory);
}

void ContextRows::put_together(Device& device, const BatchShape& shape, TensorView memory,
                               TensorView whole) const {
  for (int rank = 0; rank < ranks(); ++rank)
    for_each_range(shape, map(shape, rank), block(memory, rank), whole,
                   [&](TensorView part, TensorView rows) { device.copy_rows(Lane::compute, rows, part); });
}

void ContextRows::take_apart(Device& device, const BatchShape& shape, TensorView whole,
                             TensorView memory) const {
  for (int rank = 0; rank < ranks(); ++rank)
    for_each_range(shape, map(shape, rank), block(memory, rank), whole,
                   [&](TensorView part, TensorView rows) { device.copy_rows(Lane::compute, part, rows); });
}

}  // namespace caravan
