#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "caravan/layer_blocks.hpp"
#include "caravan/plugin.hpp"
#include "caravan/residual_block.hpp"
#include "caravan/split_product.hpp"
#include "plugins/layer/attention/context_keys.hpp"
#include "plugins/layer/attention/options.hpp"
#include "plugins/layer/attention/params.hpp"

namespace caravan::attention {

/// y = x + dropout(Wo·attention(rope(Wqkv·norm(x)))). Causal, whole or in chunks, within documents; grouped
/// queries; rotation or none; norm of queries and keys; temperature. Tensor ranks divide the heads. Context
/// ranks divide the sequences: there the layer is several segments, between which keys and values travel. In
/// decoding, keys and values of earlier positions stand in pages of session entries; a chunked layer keeps
/// one chunk of a sequence.
class AttentionLayer final : public Layer {
 public:
  using Interface = Layer;
  static constexpr const char* kName = "attention";
  static constexpr const char* kSummary =
      "Pre-norm causal attention with residual: grouped queries, RoPE or NoPE, chunks";
  static constexpr auto& kParams = attention::kParams;

  AttentionLayer(const Host& host, const Config& config);

  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  void plan(const BatchShape& shape, StashPlan& plan) override;
  void prepare(Device& device, std::int64_t positions) override;
  double forward_flops(const BatchShape& shape) const override;

 private:
  void forward(Run& run, Frame& frame);
  void backward_input(Run& run, Frame& frame);
  void backward_weight(Run& run, Frame& frame);
  class Turn;
  std::vector<Segment*> context_segments();
  void add_backward_turns(std::vector<Segment*>& segments);
  Segment* turn(Turn turn);
  enum class Part { all, queries, keys };  ///< of the heads of qkv; keys with their values
  /// Where the part is in qkv and its weight, and how it is prepared.
  struct PartOfHeads {
    QkPrepare how;
    RowRange columns, norms;
  };
  PartOfHeads part_of(const Run& run, Part part) const;
  /// Of I and forward of the other segments: what travels is made before, or differentiated behind.
  Part travelling(const BatchShape& shape) const { return context_.travel(shape) ? Part::keys : Part::all; }
  void project_heads(Run& run, Frame& frame, RowRange rows, Part part);
  void prepare_heads(Run& run, Frame& frame, Part part);
  void differentiate_heads(Run& run, Frame& frame, Part part);
  void project_queries(Run& run, Frame& frame);
  // The same on context ranks: before keys travel, and behind it.
  void project(Run& run, Frame& frame);
  void project_in(Run& run, Frame& frame, RowRange rows);
  void project_backward(Run& run, Frame& frame);
  void project_weight(Run& run, Frame& frame);
  void attend(Run& run, Frame& frame);
  void attend_first(Run& run, Frame& frame, int);
  void attend_again(Run& run, Frame& frame, int round);
  void attend_last(Run& run, Frame& frame);
  void put_out(Run& run, Frame& frame);
  void begin_backward(Run& run, Frame& frame);
  void own_backward(Run& run, Frame& frame, int);
  void round_backward(Run& run, Frame& frame, int round);
  void queries_backward(Run& run, Frame& frame, int);
  void finish_keys(Run& run, Frame& frame);
  void attend_out_backward(Run& run, Frame& frame, RowRange rows);
  void attend_weight(Run& run, Frame& frame);

  /// Views of an operator, [B, rows, heads, D].
  struct KeyRows {
    TensorView keys, values;
  };
  void attend_to(Run& run, Frame& frame, const Block& block, const KeyBlock& keys, bool adds) const;
  /// Of this rank's blocks each to its own keys, then the later one to those of the earlier.
  void attend_to_own(Run& run, Frame& frame) const;
  void attend_to_round(Run& run, Frame& frame, int round) const;
  void prepare_cached(Run& run, Frame& frame) const;
  void attend_cached(Run& run, Frame& frame) const;
  /// Whether gradients of queries and of keys are there already, and are added to.
  struct Sums {
    bool queries = false, keys = false;
  };
  /// False: the queries see none of the keys.
  bool differentiate(Run& run, Frame& frame, const Block& block, const KeyBlock& keys, Sums sums) const;
  void differentiate_own(Run& run, Frame& frame) const;
  void differentiate_between(Run& run, Frame& frame) const;
  void differentiate_round(Run& run, Frame& frame, int round) const;
  AttentionForward arguments(const Run& run, const Frame& frame, const Block& block, const KeyBlock& from,
                             const Crossing& which) const;
  AttentionMask mask(const Run& run, const Crossing& which) const;
  QkPrepare how(const Run& run) const;
  void plan_cache(const BatchShape& shape, StashPlan& plan);
  CacheRows cache_rows(const Run& run) const;
  /// Of `rows`, [B·length, 2·G·D], those of [which.begin, which.end) of each sequence.
  KeyRows key_rows(TensorView rows, std::int64_t length, PositionRange which) const;
  /// The first heads of rows [T, …] of this rank's tokens, [B, S, A, D].
  TensorView queries(const Run& run, TensorView rows) const;
  /// Keys and values of a row are neighbours.
  RowRange key_columns() const { return {heads_.queries * heads_.dim, heads_.width()}; }
  AttentionDropout attention_dropout(const Run& run) const;
  float scale() const { return 1 / std::sqrt(static_cast<float>(options_.head_dim)); }

  std::string name_;
  Options options_;
  Heads heads_;
  std::string stream_;
  ResidualBlock around_;
  Parameter& qkv_;     // [(A+2G)·D, H] of the heads here
  Parameter& output_;  // [H, A·D]
  LowRankProducts qkv_adapters_, output_adapters_;
  Buffer* cos_ = nullptr;
  Buffer* sin_ = nullptr;
  Entry qkv_entry_, rstd_, lse_, attended_, dattended_, dqkv_, keys_, values_;
  ContextKeys context_;
  SplitProduct<AttentionLayer> in_, out_;
  SegmentOf<AttentionLayer> segment_, project_segment_, attend_segment_;
  std::vector<std::unique_ptr<Segment>> turns_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace caravan::attention
