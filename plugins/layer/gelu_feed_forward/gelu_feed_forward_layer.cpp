#include <string>
#include <vector>

#include "caravan/layer_blocks.hpp"
#include "caravan/plugin.hpp"
#include "caravan/split_product.hpp"
#include "caravan/tensor_rows.hpp"

namespace caravan {
namespace {

/// y = x + dropout(gelu(w2·gelu(w1·norm(x) + b1) + b2)), the dense block of the from-scratch Llama 4. Tensor
/// ranks divide the hidden width; the second gelu is of a rank's own rows of their sum, to which the first
/// rank alone has added b2.
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
        rows_(host),
        dropout_(random_stream(config), ".feed_forward.dropout",
                 static_cast<float>(config.get_float("dropout")), dim_),
        norm_(*host.parameters, name_ + ".ffn_norm.weight", dim_,
              static_cast<float>(config.get_float("norm_eps")), rows_),
        w1_(matrix(*host.parameters, ".w1.weight", {hidden_, dim_}, config.get_float("init_std"), 0)),
        b1_(bias(*host.parameters, ".w1.bias", hidden_, {{0, MeshAxis::tp}})),
        w2_(matrix(*host.parameters, ".w2.weight", {dim_, hidden_}, config.get_float("out_init_std"), 1)),
        b2_(bias(*host.parameters, ".w2.bias", dim_, {})),
        norm_segment_(*this, "norm",
                      {&GeluFeedForwardLayer::norm_forward, &GeluFeedForwardLayer::norm_backward_input,
                       &GeluFeedForwardLayer::norm_backward_weight}),
        gather_("gather", RowsSegment::Forward::gather, rows_, dim_, norm_.entries()),
        in_(*this, rows_, Segment::Directions::forward, &GeluFeedForwardLayer::forward_in),
        out_(*this, rows_, Segment::Directions::backward, &GeluFeedForwardLayer::backward_out),
        products_(*this, "feed_forward",
                  {&GeluFeedForwardLayer::products_forward, &GeluFeedForwardLayer::products_backward_input,
                   &GeluFeedForwardLayer::products_backward_weight}),
        sum_("sum", RowsSegment::Forward::sum, rows_, dim_, {outer_, douter_}),
        finish_(*this, "finish",
                {&GeluFeedForwardLayer::finish_forward, &GeluFeedForwardLayer::finish_backward_input}),
        segments_{&norm_segment_, &products_, &finish_},
        parameters_{&norm_.weight(), &w1_, &b1_, &w2_, &b2_} {
    for (Parameter* parameter : {&w1_, &b1_, &w2_, &b2_}) parameter->offers_freezing();
    if (rows_.overlap())
      segments_ = {&norm_segment_, &gather_, &in_, &products_, &out_, &sum_, &finish_};
    else if (rows_.travel())
      segments_ = {&norm_segment_, &gather_, &products_, &sum_, &finish_};
  }

  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  double forward_flops(const BatchShape& shape) const override {
    return 4.0 * static_cast<double>(shape.tokens()) * static_cast<double>(dim_) *
           static_cast<double>(hidden_);
  }

  void plan(const BatchShape& shape, StashPlan& plan) override {
    const Shape hidden{shape.tokens(), w1_.shape()[0]}, outer = rows_.memory(shape, dim_);
    norm_.plan(shape, plan);
    dropout_.plan(shape, plan);
    inner_ = plan.add("inner", shape.compute, hidden, Lifetime::input);
    activated_ = plan.add("activated", shape.compute, hidden, Lifetime::weight);
    outer_ = plan.add("outer", shape.compute, outer, Lifetime::input);
    douter_ = plan.add("outer.gradient", shape.compute, outer, Lifetime::backward_weight);
    dinner_ = plan.add("inner.gradient", shape.compute, hidden, Lifetime::backward_weight);
  }

 private:
  Parameter& matrix(ParameterStore& store, const char* suffix, Shape shape, double std, int cut) const {
    return store.declare(ParameterSpec::whole(name_ + ".feed_forward" + suffix, shape, ParameterKind::dense,
                                              {.std = static_cast<float>(std)}, {{cut, MeshAxis::tp}}));
  }
  Parameter& bias(ParameterStore& store, const char* suffix, std::int64_t width,
                  std::vector<Cut> cuts) const {
    return store.declare(ParameterSpec::whole(name_ + ".feed_forward" + suffix, {width}, ParameterKind::dense,
                                              {Initial::Rule::zeros}, std::move(cuts)));
  }

  void norm_forward(Run& run, Frame& frame) { norm_.forward(run, frame); }
  void norm_backward_input(Run& run, Frame& frame) { norm_.backward_input(run, frame, frame.dy); }
  void norm_backward_weight(Run& run, Frame& frame) { norm_.backward_weight(run, frame); }

  void products_forward(Run& run, Frame& frame) {
    const TensorView inner = frame[inner_], outer = rows_.all(run.shape, frame[outer_]);
    in_.rest(run, frame);
    if (run.makes(frame, activated_)) run.ops.gelu_forward({inner, frame[activated_]});
    if (run.makes(frame, outer_))
      run.ops.linear_forward({frame[activated_], w2_.weight, of_first_rank(b2_.weight), {}, outer});
  }

  void forward_in(Run& run, Frame& frame, RowRange rows) {
    if (!run.makes(frame, inner_)) return;
    const TensorView normed = rows.of(norm_.all_output(run, frame));
    run.ops.linear_forward({normed, w1_.weight, b1_.weight, {}, rows.of(frame[inner_])});
  }

  void backward_out(Run& run, Frame& frame, RowRange rows) {
    const TensorView gradient = rows.of(rows_.all(run.shape, frame[douter_]));
    run.ops.linear_backward_input({gradient, w2_.weight, rows.of(frame[dinner_])});
  }

  void products_backward_input(Run& run, Frame& frame) {
    const TensorView dinner = frame[dinner_];
    out_.rest(run, frame);
    run.ops.gelu_backward({frame[inner_], dinner, dinner});
    run.ops.linear_backward_input({dinner, w1_.weight, norm_.all_gradient(run, frame)});
  }

  void products_backward_weight(Run& run, Frame& frame) {
    if (w2_.is_trained() || b2_.is_trained())
      run.ops.linear_backward_weight(
          {frame[activated_], rows_.all(run.shape, frame[douter_]), w2_.grad, of_first_rank(b2_.grad)});
    if (w1_.is_trained() || b1_.is_trained())
      run.ops.linear_backward_weight({norm_.all_output(run, frame), frame[dinner_], w1_.grad, b1_.grad});
  }

  void finish_forward(Run& run, Frame& frame) {
    if (!run.makes_output(frame)) return;
    run.ops.gelu_forward({rows_.own(run.shape, frame[outer_]), frame.y});
    dropout_.merge(run, frame, frame.y);
  }

  void finish_backward_input(Run& run, Frame& frame) {
    dropout_.backward_input(run, frame);
    run.ops.gelu_backward({rows_.own(run.shape, frame[outer_]), dropout_.gradient(frame),
                           rows_.own(run.shape, frame[douter_])});
  }

  /// Of b2, which the sum over tensor ranks is to have once, whether they divide the rows or each has all.
  TensorView of_first_rank(TensorView view) const { return b2_.counts(0) ? view : TensorView{}; }

  std::string name_;
  std::int64_t dim_, hidden_;
  TensorRows rows_;
  OutputDropout dropout_;
  PreNorm norm_;
  Parameter &w1_, &b1_, &w2_, &b2_;
  Entry inner_, activated_, outer_, douter_, dinner_;
  SegmentOf<GeluFeedForwardLayer> norm_segment_;
  RowsSegment gather_;
  SplitProduct<GeluFeedForwardLayer> in_, out_;
  SegmentOf<GeluFeedForwardLayer> products_;
  RowsSegment sum_;
  SegmentOf<GeluFeedForwardLayer> finish_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("layer-gelu_feed_forward", CARAVAN_VERSION, "Apache-2.0",
               "Dense feed-forward of the from-scratch model",
               caravan::component<caravan::GeluFeedForwardLayer>());
