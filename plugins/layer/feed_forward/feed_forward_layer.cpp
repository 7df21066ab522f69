#include <string>
#include <vector>

#include "caravan/layer_blocks.hpp"
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
      {"stream", "string", "null", "", "",
       "Name of the random streams; null: the layer's name. Repeated layers differ in it."},
      {"dim", "int", nullptr, "", "[1, 262144]", "Width between layers."},
      {"hidden", "int", nullptr, "", "[1, 16777216]", "Width of the feed-forward."},
      {"norm_eps", "float", "1e-5", "", "> 0", "Epsilon of the norm."},
      {"dropout", "float", "0", "", "[0, 1)", "Dropout of the block's output."},
      {"init_std", "float", "0.02", "", ">= 0", "Standard deviation of w1."},
      {"out_init_std", "float", "0.02", "", ">= 0", "Standard deviation of w2 and w3."},
  };

  FeedForwardLayer(const Host& host, const Config& config)
      : name_(config.get_string("name")),
        dim_(config.get_int("dim")),
        dropout_(random_stream(config), ".feed_forward.dropout",
                 static_cast<float>(config.get_float("dropout")), dim_),
        norm_(*host.parameters, name_ + ".ffn_norm.weight", dim_,
              static_cast<float>(config.get_float("norm_eps"))),
        block_(*host.parameters, name_ + ".feed_forward", ParameterKind::dense,
               {dim_, config.get_int("hidden"), static_cast<float>(config.get_float("init_std")),
                static_cast<float>(config.get_float("out_init_std")),
                static_cast<float>(config.get_float("out_init_std"))}),
        segment_(*this, "feed_forward",
                 {&FeedForwardLayer::forward, &FeedForwardLayer::backward_input,
                  &FeedForwardLayer::backward_weight}),
        segments_{&segment_},
        parameters_{&norm_.weight(), &block_.gate_up(), &block_.down()} {}

  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  double forward_flops(const BatchShape& shape) const override {
    return block_.forward_flops(shape.tokens());
  }

  void plan(const BatchShape& shape, StashPlan& plan) override {
    norm_.plan(shape, plan);
    block_.plan(shape, plan);
    dropout_.plan(shape, plan);
  }

 private:
  void forward(Run& run, Frame& frame) {
    block_.forward(run, frame, norm_.forward(run, frame), dropout_.residual(run, frame), frame.y);
    dropout_.finish(run, frame);
  }

  void backward_input(Run& run, Frame& frame) {
    dropout_.backward_input(run, frame);
    block_.backward_input(run, frame, dropout_.gradient(frame), norm_.gradient(frame),
                          SwigluBlock::Write::replace);
    norm_.backward_input(run, frame, frame.dy);
  }

  void backward_weight(Run& run, Frame& frame) {
    block_.backward_weight(run, frame, norm_.output(frame), dropout_.gradient(frame));
    norm_.backward_weight(run, frame);
  }

  std::string name_;
  std::int64_t dim_;
  OutputDropout dropout_;
  PreNorm norm_;
  SwigluBlock block_;
  SegmentOf<FeedForwardLayer> segment_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("layer-feed_forward", CARAVAN_VERSION, "Apache-2.0", "Dense feed-forward of Llama 4",
               caravan::component<caravan::FeedForwardLayer>());
