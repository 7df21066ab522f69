#include <string>
#include <vector>

#include "caravan/layer_blocks.hpp"
#include "caravan/plugin.hpp"
#include "caravan/residual_block.hpp"
#include "caravan/split_product.hpp"

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
      {"lora", "map", "null", "", "", "rank, alpha, parameters: low-rank adapters; null: none."},
  };

  FeedForwardLayer(const Host& host, const Config& config)
      : around_(host, {.norm = config.get_string("name") + ".ffn_norm.weight",
                       .width = config.get_int("dim"),
                       .norm_eps = static_cast<float>(config.get_float("norm_eps")),
                       .stream = random_stream(config),
                       .dropout_stream = ".feed_forward.dropout",
                       .dropout = static_cast<float>(config.get_float("dropout"))}),
        block_(*host.parameters, config.get_string("name") + ".feed_forward", ParameterKind::dense,
               {config.get_int("dim"), config.get_int("hidden"),
                static_cast<float>(config.get_float("init_std")),
                static_cast<float>(config.get_float("out_init_std")),
                static_cast<float>(config.get_float("out_init_std"))},
               read_low_rank(config.find("lora"))),
        in_(*this, around_.rows(), Segment::Directions::forward, &FeedForwardLayer::forward_in),
        out_(*this, around_.rows(), Segment::Directions::backward, &FeedForwardLayer::backward_out),
        segment_(*this, "feed_forward",
                 {&FeedForwardLayer::forward, &FeedForwardLayer::backward_input,
                  &FeedForwardLayer::backward_weight}),
        segments_(around_.around({&segment_}, {&in_, &out_})),
        parameters_(block_.parameters()) {
    parameters_.insert(parameters_.begin(), &around_.norm_weight());
  }

  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  void prepare(Device& device, std::int64_t) override { block_.prepare(device); }
  double forward_flops(const BatchShape& shape) const override {
    return block_.forward_flops(shape.tokens());
  }

  void plan(const BatchShape& shape, StashPlan& plan) override {
    around_.plan(shape, plan);
    block_.plan(shape, plan);
  }

 private:
  void forward(Run& run, Frame& frame) {
    around_.begin(run, frame);
    in_.rest(run, frame);
    block_.forward_out(run, frame, around_.residual(run, frame), around_.output(run, frame));
    around_.end(run, frame);
  }

  void forward_in(Run& run, Frame& frame, RowRange rows) {
    block_.forward_in(run, frame, around_.input(run, frame), rows);
  }

  void backward_input(Run& run, Frame& frame) {
    around_.begin_backward(run, frame);
    out_.rest(run, frame);
    block_.backward_in(run, frame, around_.input_gradient(run, frame));
    around_.end_backward(run, frame);
  }

  void backward_out(Run& run, Frame& frame, RowRange rows) {
    block_.backward_out(run, frame, around_.result_gradient(run, frame), rows);
  }

  void backward_weight(Run& run, Frame& frame) {
    block_.backward_weight(run, frame, around_.input(run, frame), around_.result_gradient(run, frame));
    around_.end_weight(run, frame);
  }

  ResidualBlock around_;
  SwigluBlock block_;
  SplitProduct<FeedForwardLayer> in_, out_;
  SegmentOf<FeedForwardLayer> segment_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("layer-feed_forward", CARAVAN_VERSION, "Apache-2.0", "Dense feed-forward of Llama 4",
               caravan::component<caravan::FeedForwardLayer>());
