#include "caravan/tensor_rows.hpp"

namespace caravan {

TensorRows::TensorRows(const Host& host) {
  if (!host.mesh || host.mesh->degree(MeshAxis::tp) == 1) return;
  ranks_.emplace(host.mesh->group(MeshAxis::tp));
  overlaps_ = host.mesh->layout().degrees().async_tp;
}

Shape TensorRows::memory(const BatchShape& shape, std::int64_t width) const {
  return {travel() ? shape.block_rows() * shape.tensor_ranks : shape.rows(), width};
}

TensorView TensorRows::own(const BatchShape& shape, TensorView memory) const {
  return travel() ? memory.rows(shape.first_row(), shape.first_row() + shape.rows()) : memory;
}

TensorView TensorRows::all(const BatchShape& shape, TensorView memory) const {
  return travel() ? memory.rows(0, shape.tokens()) : memory;
}

TensorView TensorRows::block(TensorView memory) const {
  const std::int64_t rows = memory.extent(0) / ranks(), rank = ranks_->tensors.rank();
  return memory.rows(rank * rows, (rank + 1) * rows);
}

RowRange TensorRows::early(const BatchShape& shape) const {
  if (!overlaps_ || shape.tensor_ranks == 1) return {};
  return {shape.first_row(), shape.first_row() + shape.rows()};
}

Ticket TensorRows::post_gather(const BatchShape& shape, TensorView memory) const {
  if (shape.tensor_ranks == 1) return {};
  return ranks_->tensors.post_all_gather(block(memory), memory);
}

Ticket TensorRows::post_sum(const BatchShape& shape, TensorView memory) const {
  if (shape.tensor_ranks == 1) return ranks_->tensors.post_all_reduce(memory, ReduceOp::sum);
  return ranks_->tensors.post_reduce_scatter(memory, block(memory), ReduceOp::sum);
}

double TensorRows::sent_bytes(const BatchShape& shape, std::int64_t width) const {
  return static_cast<double>(shape.block_rows() * (shape.tensor_ranks - 1) * width) *
         static_cast<double>(size_of(shape.compute));
}

bool RowsSegment::posts_again(const Frame& frame) const {
  return frame.repeats[static_cast<std::size_t>(entries_.forward.index)];
}

void RowsSegment::forward(Run& run, Frame& frame) {
  const TensorView memory = frame[entries_.forward];
  if (run.pass != Pass::first && !posts_again(frame)) return;
  run.pending =
      forward_ == Forward::gather ? rows_.post_gather(run.shape, memory) : rows_.post_sum(run.shape, memory);
}

void RowsSegment::backward_input(Run& run, Frame& frame) {
  const TensorView memory = frame[entries_.backward];
  run.pending =
      forward_ == Forward::gather ? rows_.post_sum(run.shape, memory) : rows_.post_gather(run.shape, memory);
}

}  // namespace caravan
