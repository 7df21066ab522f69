#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "caravan/host.hpp"
#include "caravan/layer.hpp"
#include "caravan/mesh.hpp"

namespace caravan {

/// Neighbouring rows, or columns: [begin, end).
struct RowRange {
  std::int64_t begin = 0, end = 0;
  bool empty() const { return begin == end; }
  TensorView of(TensorView all) const { return all.rows(begin, end); }
};

/// Rows that tensor ranks have whole inside a layer, whose matrices are cut, and divided between layers. They
/// stand in one memory of a block for each rank, [ranks·BatchShape::block_rows(), H]: a rank's own rows are
/// what gathering starts from and what summing ends in. Where rows do not travel both are all rows. In a
/// shape whose rows are not divided (decoding) every rank has all of them, and only sums travel.
class TensorRows {
 public:
  /// Each rank keeps to its own rows.
  TensorRows() = default;
  /// Rows travel where the host's mesh has several tensor ranks.
  explicit TensorRows(const Host& host);

  bool travel() const noexcept { return ranks_.has_value(); }
  int ranks() const { return ranks_ ? ranks_->tensors.size() : 1; }
  /// Of memory for rows of `width` elements.
  Shape memory(const BatchShape& shape, std::int64_t width) const;
  /// This rank's rows of such memory, [R, H].
  TensorView own(const BatchShape& shape, TensorView memory) const;
  /// The rows of all tokens, [T, H], where they travel.
  TensorView all(const BatchShape& shape, TensorView memory) const;
  /// Each rank has all rows.
  Ticket post_gather(const BatchShape& shape, TensorView memory) const;
  /// A rank's own rows become the sum of what all ranks have there; the others are lost.
  Ticket post_sum(const BatchShape& shape, TensorView memory) const;
  void wait(Ticket& ticket) const { ranks_->tensors.wait(ticket); }
  /// What is small, and needed at once: every rank has the sum, and the blocks of axis 0 of all ranks.
  void sum_everywhere(TensorView values) const { ranks_->tensors.all_reduce(values, ReduceOp::sum); }
  void gather_blocks(TensorView blocks) const { ranks_->tensors.all_gather(block(blocks), blocks); }
  /// A rank works on its own rows while those of others are gathered.
  bool overlap() const noexcept { return overlaps_; }
  /// The rows that it works on meanwhile; none where rows do not overlap, or are not divided.
  RowRange early(const BatchShape& shape) const;
  /// The rows of all tokens but those: before them, and behind.
  std::array<RowRange, 2> late(const BatchShape& shape) const {
    return {{{0, early(shape).begin}, {early(shape).end, shape.tokens()}}};
  }
  /// What one of both sends from this rank.
  double sent_bytes(const BatchShape& shape, std::int64_t width) const;

 private:
  TensorView block(TensorView memory) const;
  std::optional<RankGroup> ranks_;
  bool overlaps_ = false;
};

/// Rows on their way: in backward the gradients of what was gathered are summed, and those of a sum gathered.
class RowsSegment final : public Segment {
 public:
  enum class Forward { gather, sum };
  /// What makes the rows: computation, or exchanges on other lanes too.
  enum class Source { computation, exchanges };
  struct Entries {
    const Entry& forward;   ///< memory that travels in forward
    const Entry& backward;  ///< and in I, the other way
  };
  /// Borrows both; `width` of a row.
  RowsSegment(std::string_view name, Forward forward, const TensorRows& rows, std::int64_t width,
              Entries entries, Source source = Source::computation)
      : name_(name), forward_(forward), rows_(rows), width_(width), entries_(entries), source_(source) {}

  std::string_view name() const override { return name_; }
  Lane lane() const override { return Lane::tensor; }
  bool needs_pending(Lane) const override { return source_ == Source::exchanges; }
  double sent_bytes(const BatchShape& shape) const override { return rows_.sent_bytes(shape, width_); }
  bool posts_again(const Frame& frame) const override;
  void wait(Run& run) override { rows_.wait(run.pending); }
  void forward(Run& run, Frame& frame) override;
  void backward_input(Run& run, Frame& frame) override;

 private:
  std::string_view name_;
  Forward forward_;
  const TensorRows& rows_;
  std::int64_t width_;
  Entries entries_;
  Source source_;
};

}  // namespace caravan
