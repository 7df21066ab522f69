#pragma once

#include <optional>
#include <string>
#include <vector>

#include "caravan/layer_blocks.hpp"
#include "caravan/plugin.hpp"
#include "plugins/layer/attention/params.hpp"
#include "plugins/layer/attention/rotary.hpp"

namespace caravan::attention {

/// What a job says about one attention layer.
struct Options {
  explicit Options(const Config& config);
  std::int64_t dim, heads, kv_heads, head_dim, positions, chunk;
  float norm_eps, dropout, attention_dropout, init_std, out_std;
  bool rope, qk_norm;
  double rope_theta;
  std::optional<RotaryScaling> rope_scaling;
  float temperature_scale = 0, temperature_floor = 0;
  std::int64_t width() const { return (heads + 2 * kv_heads) * head_dim; }
};

/// y = x + dropout(Wo·attention(rope(Wqkv·norm(x)))). Causal, whole or in chunks, within documents; grouped
/// queries; rotation or none; norm of queries and keys; temperature. One segment: there is nothing to wait
/// for inside. In decoding, keys and values of earlier positions stand in session entries; a chunked layer
/// keeps one chunk.
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
  TensorView queries(const Run& run, TensorView rows) const { return heads_of(run, rows, 0, options_.heads); }
  TensorView keys(const Run& run, TensorView rows) const {
    return heads_of(run, rows, options_.heads, options_.kv_heads);
  }
  TensorView values(const Run& run, TensorView rows) const {
    return heads_of(run, rows, options_.heads + options_.kv_heads, options_.kv_heads);
  }
  TensorView attended(const Run& run, TensorView rows) const {
    return heads_of(run, rows, 0, options_.heads);
  }
  AttentionDropout attention_dropout(const Run& run) const;

  std::string name_;
  Options options_;
  PreNorm norm_;
  std::string stream_;
  OutputDropout dropout_;
  Parameter& qkv_;     // [(A+2G)·D, H]
  Parameter& output_;  // [H, A·D]
  Buffer* cos_ = nullptr;
  Buffer* sin_ = nullptr;
  Entry qkv_entry_, rstd_, lse_, attended_, dattended_, dqkv_, cache_;
  SegmentOf<AttentionLayer> segment_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace caravan::attention
