#include <string>
#include <vector>

#include "caravan/layer_blocks.hpp"
#include "caravan/plugin.hpp"

namespace caravan {
namespace {

/// loss += Σ cross-entropy(norm(x)·outputᵀ (+ bias), labels). The last layer of a model: it has no output. In
/// training the logits exist a block of rows at a time, so the gradients of the projection are made in
/// forward (see LinearCrossEntropy); I hands them on through the norm, W is the norm's alone.
class HeadLayer final : public Layer {
 public:
  using Interface = Layer;
  static constexpr const char* kName = "head";
  static constexpr const char* kSummary = "Final norm, output projection and cross-entropy";
  static constexpr caravan_param kParams[] = {
      {"name", "string", nullptr, "", "", "Prefix of the parameter names; empty for the usual names."},
      {"vocab_size", "int", nullptr, "tokens", "[1, 16777216]", "Rows of the projection."},
      {"dim", "int", nullptr, "", "[1, 262144]", "Width between layers."},
      {"norm_eps", "float", "1e-5", "", "> 0", "Epsilon of the norm."},
      {"tied", "bool", "false", "", "",
       "Use the embedding table as projection: the same values at the start."},
      {"bias", "bool", "false", "", "", "Add a bias to the logits."},
      {"init_std", "float", "0.02", "", ">= 0",
       "Standard deviation of the projection, cut at three of them."},
  };

  HeadLayer(const Host& host, const Config& config)
      : dim_(config.get_int("dim")),
        vocab_(config.get_int("vocab_size")),
        norm_(*host.parameters, "norm.weight", dim_, static_cast<float>(config.get_float("norm_eps")),
              Lifetime::weight),
        projection_(declare_projection(*host.parameters, config)),
        segment_(*this, "head",
                 {&HeadLayer::forward, &HeadLayer::backward_input, &HeadLayer::backward_weight}),
        segments_{&segment_},
        parameters_{&norm_.weight(), &projection_} {
    if (!config.get_bool("bias")) return;
    bias_ = &host.parameters->declare(
        ParameterSpec::whole("output.bias", {vocab_}, ParameterKind::head, {Initial::Rule::zeros}));
    parameters_.push_back(bias_);
  }

  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  void plan(const BatchShape& shape, StashPlan& plan) override { norm_.plan(shape, plan); }
  double forward_flops(const BatchShape& shape) const override {
    const std::int64_t rows = shape.phase == Phase::decode ? shape.sequences : shape.tokens();
    return 2.0 * static_cast<double>(rows) * static_cast<double>(dim_) * static_cast<double>(vocab_);
  }

 private:
  Parameter& declare_projection(ParameterStore& store, const Config& config) const {
    const auto std = static_cast<float>(config.get_float("init_std"));
    const Initial initial{.std = std, .bound = 3 * std};
    const bool tied = config.get_bool("tied");
    return store.declare(
        ParameterSpec::whole(tied ? "tok_embeddings.weight" : "output.weight", {vocab_, dim_},
                             tied ? ParameterKind::embedding : ParameterKind::head, initial));
  }

  void forward(Run& run, Frame& frame) {
    const TensorView normed = norm_.forward(run, frame);
    const TensorView bias = bias_ ? bias_->weight : TensorView{};
    if (run.shape.phase == Phase::decode) {
      const TensorView last = normed.rows(run.shape.tokens() - 1, run.shape.tokens());
      if (!run.logits.empty()) run.ops.linear_forward({last, projection_.weight, bias, {}, run.logits});
      return;
    }
    if (run.labels.empty()) {
      if (!run.logits.empty()) run.ops.linear_forward({normed, projection_.weight, bias, {}, run.logits});
      return;
    }
    LinearCrossEntropy args{normed, projection_.weight, bias, run.labels, run.loss_sum, run.logits, {}, {},
                            {},     run.gradient_scale};
    if (run.training()) {
      args.dx = norm_.gradient(frame);
      args.dw = projection_.grad;
      args.dbias = bias_ ? bias_->grad : TensorView{};
    }
    run.ops.linear_cross_entropy(args);
  }

  void backward_input(Run& run, Frame& frame) { norm_.backward_input(run, frame, {}); }

  void backward_weight(Run& run, Frame& frame) { norm_.backward_weight(run, frame); }

  std::int64_t dim_, vocab_;
  PreNorm norm_;
  Parameter& projection_;
  Parameter* bias_ = nullptr;
  SegmentOf<HeadLayer> segment_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("layer-head", CARAVAN_VERSION, "Apache-2.0", "Final norm and language-model head",
               caravan::component<caravan::HeadLayer>());
