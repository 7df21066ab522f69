#include "parallel/rank_sum.hpp"

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>

#include "caravan/bf16.hpp"
#include "parallel/mpi_call.hpp"
#include "parallel/pieces.hpp"

namespace caravan::parallel {
namespace {

/// to = from op to
void combine(const TensorView& from, const TensorView& to, ReduceOp op) {
  const auto element = static_cast<std::int64_t>(size_of(to.dtype));
  in_pieces(to.count(), INT_MAX, [&](std::int64_t begin, int count) {
    check_mpi(MPI_Reduce_local(at_byte(from, begin * element), at_byte(to, begin * element), count,
                               reduction_type(to.dtype), mpi_op(op)),
              "MPI_Reduce_local", "reduce_scatter");
  });
}

float combined(float a, float b, ReduceOp op) {
  return op == ReduceOp::sum ? a + b : op == ReduceOp::min ? std::min(a, b) : std::max(a, b);
}

}  // namespace

RankSum::RankSum(const TensorView& own, const TensorView& out, ReduceOp op, int rank, int ranks)
    : own_(own),
      out_(out),
      op_(op),
      rank_(rank),
      ranks_(ranks),
      blocks_(
          std::make_unique_for_overwrite<std::byte[]>(out.bytes() * static_cast<std::size_t>(ranks - 1))) {}

TensorView RankSum::block_of(int rank) const {
  const auto index = static_cast<std::size_t>(rank < rank_ ? rank : rank - 1);
  return {blocks_.get() + index * out_.bytes(), out_.dtype, {out_.count()}};
}

/// The first rank's block becomes the sum, where that is no other's; the first rank's own may have to stay as
/// it is.
void RankSum::finish() {
  if (!blocks_) return;
  if (out_.dtype == DType::bf16) return finish_in_f32();
  const TensorView sum = rank_ == 0 ? out_ : block_of(0);
  if (rank_ == 0 && own_.data != out_.data) std::memcpy(out_.data, own_.data, out_.bytes());
  for (int rank = 1; rank < ranks_; ++rank) combine(block_or_own(rank), sum, op_);
  if (rank_ != 0) std::memcpy(out_.data, sum.data, out_.bytes());
  blocks_.reset();
}

void RankSum::finish_in_f32() {
  constexpr std::int64_t kPiece = 1024;
  std::array<float, kPiece> sum;
  for (std::int64_t begin = 0; begin < out_.count(); begin += kPiece) {
    const std::int64_t count = std::min(kPiece, out_.count() - begin);
    for (int rank = 0; rank < ranks_; ++rank) {
      const auto* numbers = block_or_own(rank).as<std::uint16_t>() + begin;
      for (std::int64_t i = 0; i < count; ++i) {
        float& all = sum[static_cast<std::size_t>(i)];
        all = rank == 0 ? from_bf16(numbers[i]) : combined(all, from_bf16(numbers[i]), op_);
      }
    }
    std::transform(sum.begin(), sum.begin() + count, out_.as<std::uint16_t>() + begin, to_bf16);
  }
  blocks_.reset();
}

}  // namespace caravan::parallel
