#pragma once

#include <optional>
#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "caravan/layer.hpp"
#include "caravan/low_rank.hpp"
#include "caravan/tensor_rows.hpp"

// Blocks that layer plugins are built from.
namespace caravan {

/// A segment whose three steps are member functions of its layer.
template <class L>
class SegmentOf final : public Segment {
 public:
  using Step = void (L::*)(Run&, Frame&);
  struct Steps {
    Step forward = nullptr;
    Step backward_input = nullptr;
    Step backward_weight = nullptr;  ///< null: no parameters
  };
  /// Which exchanges that are under way it waits for.
  enum class Pending {
    needed,       ///< all
    independent,  ///< not those of rows at experts
    experts       ///< those alone
  };

  SegmentOf(L& layer, const char* name, Steps steps, Pending pending = Pending::needed)
      : layer_(layer), name_(name), steps_(steps), pending_(pending) {}

  std::string_view name() const override { return name_; }
  bool needs_pending(Lane lane) const override {
    return pending_ == Pending::needed || (lane == Lane::expert) == (pending_ == Pending::experts);
  }
  void forward(Run& run, Frame& frame) override { (layer_.*steps_.forward)(run, frame); }
  void backward_input(Run& run, Frame& frame) override { (layer_.*steps_.backward_input)(run, frame); }
  void backward_weight(Run& run, Frame& frame) override {
    if (steps_.backward_weight) (layer_.*steps_.backward_weight)(run, frame);
  }

 private:
  L& layer_;
  const char* name_;
  Steps steps_;
  Pending pending_;
};

/// The RMSNorm in front of a block, with its residual: forward gives norm(x); backward adds the norm's
/// gradient to the gradient that bypasses the block. Its output and dL/d norm(x) are memory of TensorRows:
/// the norm is of a rank's own rows, and a block with cut matrices reads and writes those of all tokens.
class PreNorm {
 public:
  /// `gradient`: how long dL/d norm(x) lives; Lifetime::weight where forward makes it already.
  PreNorm(ParameterStore& store, const std::string& name, std::int64_t width, float eps, TensorRows rows = {},
          Lifetime gradient = Lifetime::backward_weight);

  void plan(const BatchShape& shape, StashPlan& plan);
  /// norm(frame.x), [R, H]; kept until W.
  TensorView forward(Run& run, Frame& frame) const;
  TensorView output(const Run& run, const Frame& frame) const { return rows_.own(run.shape, frame[output_]); }
  /// dL/d norm(x), [R, H].
  TensorView gradient(const Run& run, const Frame& frame) const {
    return rows_.own(run.shape, frame[gradient_]);
  }
  /// The same of all tokens, [T, H], where rows travel: gathered, and to be summed.
  TensorView all_output(const Run& run, const Frame& frame) const {
    return rows_.all(run.shape, frame[output_]);
  }
  TensorView all_gradient(const Run& run, const Frame& frame) const {
    return rows_.all(run.shape, frame[gradient_]);
  }
  /// frame.dx = bypass + norm'(gradient). An empty `bypass` means none.
  void backward_input(Run& run, Frame& frame, TensorView bypass) const;
  void backward_weight(Run& run, Frame& frame) const;
  Parameter& weight() const noexcept { return weight_; }
  const TensorRows& rows() const noexcept { return rows_; }
  /// What travels from norm to block, and back.
  RowsSegment::Entries entries() const noexcept { return {output_, gradient_}; }

 private:
  Parameter& weight_;
  std::int64_t width_;
  float eps_;
  TensorRows rows_;
  Lifetime gradient_lifetime_;
  Entry output_, rstd_, gradient_;
};

/// The name of a layer's random streams: its config's `stream`, or else its `name`.
std::string random_stream(const Config& config);

/// Dropout of a block's output, and its residual: y = x + dropout(block(x)). Without dropout the block adds
/// the residual itself, in the epilogue of its last product, and this costs nothing.
class OutputDropout {
 public:
  /// The stream of the mask is named `layer` + `stream`; `stream` must outlive this.
  OutputDropout(std::string layer, const char* stream, float probability, std::int64_t width)
      : layer_(std::move(layer)), stream_(stream), probability_(probability), width_(width) {}

  void plan(const BatchShape& shape, StashPlan& plan);
  bool drops(const Run& run) const { return run.training() && probability_ > 0; }
  /// What the block's last product should add: frame.x, or nothing when `finish` will.
  TensorView residual(const Run& run, const Frame& frame) const {
    return drops(run) ? TensorView{} : frame.x;
  }
  /// frame.y, holding the block's output alone when it drops, becomes x + dropout(y).
  void finish(Run& run, Frame& frame) const;
  /// frame.y = x + dropout(result), where `result` is the block's, [R, H], and may be frame.y.
  void merge(Run& run, Frame& frame, TensorView result) const;
  /// At the start of I: makes dL/d(block's output) from frame.dy.
  void backward_input(Run& run, Frame& frame) const;
  /// dL/d(block's output), valid in I and W.
  TensorView gradient(const Frame& frame) const { return probability_ > 0 ? frame[gradient_] : frame.dy; }

 private:
  Dropout mask(const Run& run, TensorView x) const;

  std::string layer_;
  const char* stream_;
  float probability_;
  std::int64_t width_;
  Entry gradient_;
};

/// The first half of a SwiGLU block, of experts where there are offsets.
struct GateUp {
  TensorView x, offsets, w;
  Entry pre, activated;  ///< what it writes
  RowRange rows;         ///< of x and of both
};
/// As much of it as this pass makes. Of a product with adapters `where` has the same rows; product and
/// activation are operators of their own then.
void forward_gate_up(Run& run, const Frame& frame, const GateUp& args, const LowRankProducts& adapters,
                     const LowRankProducts::Where& where);
/// The gradient of what stands before the activation, through a product that may have adapters.
void backward_down(Run& run, const Frame& frame, const DownBackwardInput& args,
                   const LowRankProducts& adapters, const LowRankProducts::Where& where);

/// Gate|up projection, SwiGLU, down projection: y = base + down(silu(gate x)·up x). Parameters are
/// torchtitan's w1 (gate), w3 (up) and w2 (down). Tensor ranks cut the hidden width: y is their summand.
class SwigluBlock {
 public:
  struct Widths {
    std::int64_t dim, hidden;
    float in_std, up_std, out_std;
  };
  /// `lora`: which of w1, w2 and w3 have adapters.
  SwigluBlock(ParameterStore& store, const std::string& name, ParameterKind kind, const Widths& widths,
              const std::optional<LowRankRule>& lora = {});

  void plan(const BatchShape& shape, StashPlan& plan);
  // Of all tokens: x, base, y, dy and dx are [T, H], or `base` is empty. The product that reads x, and in I
  // the one that reads dy, makes a range of rows; what follows needs all of them.
  void forward_in(Run& run, Frame& frame, TensorView x, RowRange rows) const;
  void forward_out(Run& run, Frame& frame, TensorView base, TensorView y) const;
  /// [T, F] room for what is between the halves.
  TensorView activated(const Frame& frame) const { return frame[activated_]; }
  void backward_out(Run& run, Frame& frame, TensorView dy, RowRange rows) const;
  void backward_in(Run& run, Frame& frame, TensorView dx) const;
  void backward_weight(Run& run, Frame& frame, TensorView x, TensorView dy) const;
  double forward_flops(std::int64_t tokens) const;
  Parameter& gate_up() const noexcept { return gate_up_; }
  Parameter& down() const noexcept { return down_; }
  /// All of them, those of adapters too.
  std::vector<Parameter*> parameters() const;
  bool has_adapters() const noexcept { return !gate_up_adapters_.empty() || !down_adapters_.empty(); }
  /// Fills the adapters' constants.
  void prepare(Device& device) const;

 private:
  Parameter& gate_up_;  // [2F, H] of the F here
  Parameter& down_;     // [H, F]
  LowRankProducts gate_up_adapters_, down_adapters_;
  std::int64_t dim_, hidden_;  ///< of all ranks
  Entry pre_, activated_, dactivated_, dpre_;
};

}  // namespace caravan
