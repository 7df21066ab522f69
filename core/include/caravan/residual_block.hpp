#pragma once

#include <string>
#include <vector>

#include "caravan/layer_blocks.hpp"

namespace caravan {

/// What surrounds the block of a layer: y = x + dropout(block(norm(x))). The block's steps begin and end with
/// the calls below, and work on the rows of all tokens, [T, H]. On tensor ranks the block's matrices are cut:
/// rows are gathered before it and its summands are summed behind it, in segments of their own.
class ResidualBlock {
 public:
  struct Options {
    std::string norm;        ///< name of its weight
    std::int64_t width = 0;  ///< H
    float norm_eps = 1e-5f;
    std::string stream;          ///< of the layer's random numbers
    const char* dropout_stream;  ///< appended to it; outlives this
    float dropout = 0;
  };
  /// Borrows the host's store and mesh.
  ResidualBlock(const Host& host, const Options& options);
  ResidualBlock(const ResidualBlock&) = delete;  // its segments refer to it

  Parameter& norm_weight() const noexcept { return norm_.weight(); }
  void plan(const BatchShape& shape, StashPlan& plan);
  /// Of the block's products those that read gathered rows, as segments of their own (SplitProduct): the
  /// first one in forward, and in I that of the last one. Visited where tensor ranks overlap; null: the block
  /// makes all rows itself.
  struct Products {
    Segment* first = nullptr;
    Segment* last = nullptr;
  };
  /// The segments of a layer of this block alone. Of a block in several segments begin() and end_backward()
  /// are steps of the first, end() and begin_backward() of the last.
  std::vector<Segment*> around(const std::vector<Segment*>& block, const Products& products);
  const TensorRows& rows() const noexcept { return rows_; }

  /// Forward: norm(x).
  TensorView begin(Run& run, Frame& frame);
  /// What the block's last product adds: x where that makes y; or nothing.
  TensorView residual(const Run& run, const Frame& frame) const;
  /// Where the block's result goes: y, or this rank's summand.
  TensorView output(const Run& run, const Frame& frame) const;
  void end(Run& run, Frame& frame);

  /// I: the gradient of the block's result.
  TensorView begin_backward(Run& run, Frame& frame);
  /// Where the block puts the gradient of norm(x): whole, or this rank's summand.
  TensorView input_gradient(const Run& run, const Frame& frame) const {
    return norm_.all_gradient(run, frame);
  }
  void end_backward(Run& run, Frame& frame);

  /// W.
  TensorView input(const Run& run, const Frame& frame) const { return norm_.all_output(run, frame); }
  TensorView result_gradient(const Run& run, const Frame& frame) const;
  void end_weight(Run& run, Frame& frame);

 private:
  void norm_forward(Run& run, Frame& frame) { norm_.forward(run, frame); }
  void norm_backward_input(Run& run, Frame& frame) { norm_.backward_input(run, frame, frame.dy); }
  void norm_backward_weight(Run& run, Frame& frame) { norm_.backward_weight(run, frame); }
  void merge_forward(Run& run, Frame& frame) {
    dropout_.merge(run, frame, rows_.own(run.shape, frame[summand_]));
  }
  void merge_backward_input(Run& run, Frame& frame);

  std::int64_t width_;
  TensorRows rows_;
  PreNorm norm_;
  OutputDropout dropout_;
  Entry summand_, result_gradient_;
  SegmentOf<ResidualBlock> norm_segment_, merge_;
  RowsSegment gather_, sum_;
};

}  // namespace caravan
