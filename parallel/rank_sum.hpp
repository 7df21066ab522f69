#pragma once

#include <cstddef>
#include <memory>

#include "caravan/comm.hpp"
#include "caravan/tensor.hpp"

namespace caravan::parallel {

/// Blocks of all ranks on the one that adds them up, in the order of ranks, so that the sum is the same
/// however they came. bf16 is added in f32 and rounded once. Without blocks it does nothing.
class RankSum {
 public:
  RankSum() = default;
  /// Memory for the blocks of the other ranks. `own` and `out` are this rank's block and the sum; they may be
  /// the same.
  RankSum(const TensorView& own, const TensorView& out, ReduceOp op, int rank, int ranks);

  /// Where the block of another rank goes.
  TensorView block_of(int rank) const;
  /// Writes the sum, and gives the memory back.
  void finish();
  /// Of a sum whose blocks may still be on their way: their memory is never given back.
  void abandon() noexcept { static_cast<void>(blocks_.release()); }

 private:
  TensorView block_or_own(int rank) const { return rank == rank_ ? own_ : block_of(rank); }
  void finish_in_f32();

  TensorView own_, out_;
  ReduceOp op_ = ReduceOp::sum;
  int rank_ = 0, ranks_ = 0;
  std::unique_ptr<std::byte[]> blocks_;
};

}  // namespace caravan::parallel
