#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "caravan/context_rows.hpp"
#include "caravan/layer.hpp"

namespace caravan::attention {

/// Neighbouring queries of each sequence, and the keys that any of them may see, counted from the first token
/// of the sequences of a micro-batch, wherever that stands in those of the data.
struct QueryBlock {
  std::int64_t row = 0;  ///< of its first query, among a rank's rows of a sequence
  PositionRange queries, keys;
  bool empty() const { return queries.size() == 0; }
  PositionRange rows() const { return {row, row + queries.size()}; }
};

/// Keys and values of whole sequences on context ranks, each of which projects those of its own tokens: rows
/// of W elements that are gathered behind the projection, and whose gradients are summed on their way back.
/// They stay where every block begins with a chunk, since no query then sees a key of another block. Other
/// chunked layers gather as those of whole sequences do, although a chunk's own keys would be enough.
class ContextKeys {
 public:
  /// `chunk`: of the layer's mask, 0: whole sequences; `width` of a row, keys and values together.
  ContextKeys(const Host& host, std::int64_t chunk, std::int64_t width);
  ContextKeys(const ContextKeys&) = delete;  // its segment refers to it

  bool has_ranks() const noexcept { return rows_.travel(); }
  /// Whether other ranks need keys of this one.
  bool travel(const BatchShape& shape) const;
  void plan(const BatchShape& shape, StashPlan& plan);
  Segment& segment() noexcept { return segment_; }
  /// What of its sequences a rank attends with; one block where sequences are whole.
  std::array<QueryBlock, 2> blocks(const Run& run) const;

  /// Forward, before the segment: `keys`, [T, W], of this rank's tokens.
  void send(Run& run, const Frame& frame, TensorView keys) const;
  /// Behind it: makes whole().
  void receive(Run& run, const Frame& frame) const;
  /// [B·L, W], kept until I.
  TensorView whole(const Frame& frame) const { return frame[whole_]; }

  /// I, before the segment: memory, [B·L, W], for the gradients of a block's keys, all of which must be
  /// written. Those of one block are the sum's beginning, zero at other keys; those of the other one are then
  /// added. They stand in the memory that sends the sum, which is free until then and not smaller.
  enum class Gradient { first, added };
  TensorView start_gradient(Run& run, const Frame& frame, const QueryBlock& block, Gradient which) const;
  void add_gradient(Run& run, const Frame& frame, const QueryBlock& block) const;
  void send_gradient(Run& run, const Frame& frame) const;
  /// Behind it: `gradient`, [T, W], of this rank's tokens.
  void receive_gradient(Run& run, const Frame& frame, TensorView gradient) const;

 private:
  class Exchange final : public Segment {
   public:
    explicit Exchange(ContextKeys& keys) : keys_(keys) {}
    std::string_view name() const override { return "keys"; }
    Lane lane() const override { return Lane::tensor; }
    bool needs_pending(Lane) const override { return false; }
    double sent_bytes(const BatchShape& shape) const override;
    bool posts_again(const Frame& frame) const override;
    void wait(Run& run) override { keys_.rows_.wait(run.pending); }
    void forward(Run& run, Frame& frame) override;
    void backward_input(Run& run, Frame& frame) override;

   private:
    ContextKeys& keys_;
  };

  ContextRows rows_;
  std::int64_t chunk_, width_;
  Entry sent_, whole_, gradient_, sent_gradient_;
  Exchange segment_{*this};
};

}  // namespace caravan::attention
