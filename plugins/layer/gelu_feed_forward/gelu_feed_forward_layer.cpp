#include <string>
#include <vector>

#include "caravan/layer_blocks.hpp"
#include "caravan/plugin.hpp"

namespace caravan {
namespace {

/// y = x + dropout(gelu(w2·gelu(w1·norm(x) + b1) + b2)), the dense block of the from-scratch Llama 4.
class GeluFeedForwardLayer final : public Layer {
 public:
  using Interface = Layer;
  static constexpr const char* kName = "gelu_feed_forward";
  static constexpr const char* kSummary =
      "Pre-norm dense feed-forward with biases and GELU after both products";
  static constexpr caravan_param kParams[] = {
      {"name", "string", nullptr, "", "", "Prefix of the parameter names, \"layers.3\"."},
      {"stream", "string", "null", "", "",
       "Name of the random streams; null: the layer's name. Repeated layers differ in it."},
      {"dim", "int", nullptr, "", "[1, 262144]", "Width between layers."},
      {"hidden", "int", nullptr, "", "[1, 16777216]", "Width of the feed-forward."},
      {"norm_eps", "float", "1e-5", "", "> 0", "Epsilon of the norm."},
      {"dropout", "float", "0", "", "[0, 1)", "Dropout of the block's output."},
      {"init_std", "float", "0.02", "", ">= 0", "Standard deviation of w1."},
      {"out_init_std", "float", "0.02", "", ">= 0", "Standard deviation of w2."},
  };

  GeluFeedForwardLayer(const Host& host, const Config& config)
      : name_(config.get_string("name")),
        dim_(config.get_int("dim")),
        hidden_(config.get_int("hidden")),
        dropout_(random_stream(config), ".feed_forward.dropout",
                 static_cast<float>(config.get_float("dropout")), dim_),
        norm_(*host.parameters, name_ + ".ffn_norm.weight", dim_,
              static_cast<float>(config.get_float("norm_eps"))),
        w1_(matrix(*host.parameters, ".w1.weight", {hidden_, dim_}, config.get_float("init_std"))),
        b1_(bias(*host.parameters, ".w1.bias", hidden_)),
        w2_(matrix(*host.parameters, ".w2.weight", {dim_, hidden_}, config.get_float("out_init_std"))),
        b2_(bias(*host.parameters, ".w2.bias", dim_)),
        segment_(*this, "feed_forward",
                 {&GeluFeedForwardLayer::forward, &GeluFeedForwardLayer::backward_input,
                  &GeluFeedForwardLayer::backward_weight}),
        segments_{&segment_},
        parameters_{&norm_.weight(), &w1_, &b1_, &w2_, &b2_} {}

  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  double forward_flops(const BatchShape& shape) const override {
    return 4.0 * static_cast<double>(shape.tokens()) * static_cast<double>(dim_) *
           static_cast<double>(hidden_);
  }

  void plan(const BatchShape& shape, StashPlan& plan) override {
    const std::int64_t tokens = shape.tokens();
    norm_.plan(shape, plan);
    dropout_.plan(shape, plan);
    inner_ = plan.add("inner", shape.compute, {tokens, hidden_}, Lifetime::input);
    activated_ = plan.add("activated", shape.compute, {tokens, hidden_}, Lifetime::weight);
    outer_ = plan.add("outer", shape.compute, {tokens, dim_}, Lifetime::input);
    douter_ = plan.add("outer.gradient", shape.compute, {tokens, dim_}, Lifetime::backward_weight);
    dinner_ = plan.add("inner.gradient", shape.compute, {tokens, hidden_}, Lifetime::backward_weight);
  }

 private:
  Parameter& matrix(ParameterStore& store, const char* suffix, Shape shape, double std) const {
    return store.declare(ParameterSpec::whole(name_ + ".feed_forward" + suffix, shape, ParameterKind::dense,
                                              {.std = static_cast<float>(std)}));
  }
  Parameter& bias(ParameterStore& store, const char* suffix, std::int64_t width) const {
    return store.declare(ParameterSpec::whole(name_ + ".feed_forward" + suffix, {width}, ParameterKind::dense,
                                              {Initial::Rule::zeros}));
  }

  void forward(Run& run, Frame& frame) {
    const TensorView normed = norm_.forward(run, frame), inner = frame[inner_], outer = frame[outer_];
    if (run.makes(frame, inner_)) run.ops.linear_forward({normed, w1_.weight, b1_.weight, {}, inner});
    if (run.makes(frame, activated_)) run.ops.gelu_forward({inner, frame[activated_]});
    if (run.makes(frame, outer_))
      run.ops.linear_forward({frame[activated_], w2_.weight, b2_.weight, {}, outer});
    if (!run.makes_output(frame)) return;
    run.ops.gelu_forward({outer, frame.y});
    if (dropout_.drops(run))
      dropout_.finish(run, frame);
    else
      run.ops.add({frame.x, frame.y});
  }

  void backward_input(Run& run, Frame& frame) {
    const TensorView douter = frame[douter_], dinner = frame[dinner_];
    dropout_.backward_input(run, frame);
    run.ops.gelu_backward({frame[outer_], dropout_.gradient(frame), douter});
    run.ops.linear_backward_input({douter, w2_.weight, dinner});
    run.ops.gelu_backward({frame[inner_], dinner, dinner});
    run.ops.linear_backward_input({dinner, w1_.weight, norm_.gradient(frame)});
    norm_.backward_input(run, frame, frame.dy);
  }

  void backward_weight(Run& run, Frame& frame) {
    run.ops.linear_backward_weight({frame[activated_], frame[douter_], w2_.grad, b2_.grad});
    run.ops.linear_backward_weight({norm_.output(frame), frame[dinner_], w1_.grad, b1_.grad});
    norm_.backward_weight(run, frame);
  }

  std::string name_;
  std::int64_t dim_, hidden_;
  OutputDropout dropout_;
  PreNorm norm_;
  Parameter &w1_, &b1_, &w2_, &b2_;
  Entry inner_, activated_, outer_, douter_, dinner_;
  SegmentOf<GeluFeedForwardLayer> segment_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("layer-gelu_feed_forward", CARAVAN_VERSION, "Apache-2.0",
               "Dense feed-forward of the from-scratch model",
               caravan::component<caravan::GeluFeedForwardLayer>());
