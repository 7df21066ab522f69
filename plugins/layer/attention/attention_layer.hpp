#pragma once

#include <optional>
#include <string>
#include <vector>

#include "caravan/layer_blocks.hpp"
#include "caravan/plugin.hpp"
#include "caravan/residual_block.hpp"
#include "plugins/layer/attention/params.hpp"
#include "plugins/layer/attention/rotary.hpp"

namespace caravan::attention {

/// What a job says about one attention layer. ConfigError when heads do not fit together, or not with the
/// ranks that divide them.
struct Options {
  /// `mesh` may be null: one rank.
  Options(const Config& config, const Mesh* mesh);
  std::int64_t dim, heads, kv_heads, head_dim, positions, chunk;
  float norm_eps, dropout, attention_dropout, init_std, out_std;
  bool rope, qk_norm;
  double rope_theta;
  std::optional<RotaryScaling> rope_scaling;
  float temperature_scale = 0, temperature_floor = 0;
  /// Of all tensor ranks; what is here of them is in Heads.
  std::int64_t width() const { return (heads + 2 * kv_heads) * head_dim; }
};

/// The heads of one rank. Where tensor ranks are more than key/value heads, several have the same of these.
struct Heads {
  Heads(const Options& options, const Mesh* mesh);
  std::int64_t first;  ///< of all query heads, the first that is here
  std::int64_t queries, keys, dim;
  std::int64_t width() const { return (queries + 2 * keys) * dim; }
};

/// y = x + dropout(Wo·attention(rope(Wqkv·norm(x)))). Causal, whole or in chunks, within documents; grouped
/// queries; rotation or none; norm of queries and keys; temperature. Tensor ranks divide the heads. In
/// decoding, keys and values of earlier positions stand in session entries; a chunked layer keeps one chunk.
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
  void attend(Run& run, Frame& frame) const;
  void attend_cached(Run& run, Frame& frame) const;
  QkPrepare how(const Run& run) const;
  std::int64_t capacity(const BatchShape& shape) const;
  TensorView heads_of(const Run& run, TensorView rows, std::int64_t first, std::int64_t count) const;
  TensorView queries(const Run& run, TensorView rows) const { return heads_of(run, rows, 0, heads_.queries); }
  TensorView keys(const Run& run, TensorView rows) const {
    return heads_of(run, rows, heads_.queries, heads_.keys);
  }
  TensorView values(const Run& run, TensorView rows) const {
    return heads_of(run, rows, heads_.queries + heads_.keys, heads_.keys);
  }
  AttentionDropout attention_dropout(const Run& run) const;

  std::string name_;
  Options options_;
  Heads heads_;
  std::string stream_;
  ResidualBlock around_;
  Parameter& qkv_;     // [(A+2G)·D, H] of the heads here
  Parameter& output_;  // [H, A·D]
  Buffer* cos_ = nullptr;
  Buffer* sin_ = nullptr;
  Entry qkv_entry_, rstd_, lse_, attended_, dattended_, dqkv_, cache_;
  SegmentOf<AttentionLayer> segment_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace caravan::attention
