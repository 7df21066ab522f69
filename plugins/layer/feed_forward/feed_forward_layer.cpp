#include <string>
#include <vector>

#include "caravan/layer_parts.hpp"
#include "caravan/plugin.hpp"

namespace caravan {
namespace {

/// y = x + w2(silu(w1·norm(x)) ⊙ w3·norm(x)), with dropout of the block's output when asked.
class FeedForwardLayer final : public Layer {
 public:
  using Interface = Layer;
  static constexpr const char* kName = "feed_forward";
  static constexpr const char* kSummary = "Pre-norm dense SwiGLU feed-forward with residual";
  static constexpr caravan_param kParams[] = {
      {"name", "string", nullptr, "", "", "Prefix of the parameter names, \"layers.3\"."},
      {"dim", "int", nullptr, "", ">= 1", "Width between layers."},
      {"hidden", "int", nullptr, "", ">= 1", "Width of the feed-forward."},
      {"norm_eps", "float", "1e-5", "", "> 0", "Epsilon of the norm."},
      {"dropout", "float", "0", "", "[0, 1)", "Dropout of the block's output."},
      {"init_std", "float", "0.02", "", ">= 0", "Standard deviation of w1."},
      {"out_init_std", "float", "0.02", "", ">= 0", "Standard deviation of w2 and w3."},
  };

  FeedForwardLayer(const Host& host, const Config& config)
      : name_(config.get_string("name")),
        dim_(config.get_int("dim")),
        dropout_(static_cast<float>(config.get_float("dropout"))),
        norm_(*host.parameters, name_ + ".ffn_norm.weight", dim_, static_cast<float>(config.get_float("norm_eps"))),
        block_(*host.parameters, name_ + ".feed_forward", ParameterKind::dense,
               {dim_, config.get_int("hidden"), static_cast<float>(config.get_float("init_std")),
                static_cast<float>(config.get_float("out_init_std")),
                static_cast<float>(config.get_float("out_init_std"))}),
        segment_(*this, "feed_forward",
                 {&FeedForwardLayer::forward, &FeedForwardLayer::backward_input, &FeedForwardLayer::backward_weight}),
        segments_{&segment_},
        parameters_{&norm_.weight(), &block_.gate_up(), &block_.down()} {}

  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  double forward_flops(const BatchShape& shape) const override { return block_.forward_flops(shape.tokens()); }

  void plan(const BatchShape& shape, StashPlan& plan) override {
    norm_.plan(shape, plan);
    block_.plan(shape, plan);
    doutput_ = plan.add("output.gradient", DType::f32, {dropout_ > 0 ? shape.tokens() : 0, dim_},
                        Lifetime::backward_weight);
  }

 private:
  void forward(Run& run, Frame& frame) {
    const bool drops = run.training() && dropout_ > 0;
    block_.forward(run, frame, norm_.forward(run, frame), drops ? TensorView{} : frame.x, frame.y);
    if (!drops) return;
    run.ops.dropout(dropout(run, frame.y));
    run.ops.add({frame.x, frame.y});
  }

  void backward_input(Run& run, Frame& frame) {
    if (dropout_ > 0) {
      run.device.copy(Lane::compute, frame[doutput_].data, frame.dy.data, frame.dy.bytes());
      run.ops.dropout(dropout(run, frame[doutput_]));
    }
    block_.backward_input(run, frame, doutput(frame), norm_.gradient(frame), SwigluBlock::Write::replace);
    norm_.backward_input(run, frame, frame.dy);
  }

  void backward_weight(Run& run, Frame& frame) {
    block_.backward_weight(run, frame, norm_.output(frame), doutput(frame));
    norm_.backward_weight(run, frame);
  }

  Dropout dropout(const Run& run, TensorView x) const {
    return {x, dropout_, run.key(name_, ".feed_forward.dropout"), run.first_sample * run.shape.length};
  }
  TensorView doutput(const Frame& frame) const { return dropout_ > 0 ? frame[doutput_] : frame.dy; }

  std::string name_;
  std::int64_t dim_;
  float dropout_;
  PreNorm norm_;
  SwigluBlock block_;
  Slot doutput_;
  SegmentOf<FeedForwardLayer> segment_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("layer-feed_forward", CARAVAN_VERSION, "Apache-2.0", "Dense feed-forward of Llama 4",
               caravan::component<caravan::FeedForwardLayer>());
