#include <string>
#include <vector>

#include "caravan/layer_blocks.hpp"
#include "caravan/plugin.hpp"
#include "caravan/tensor_rows.hpp"

namespace caravan {
namespace {

/// loss += Σ cross-entropy(norm(x)·outputᵀ (+ bias), labels). The last layer of a model: it has no output. In
/// training the logits exist a block of rows at a time, so the gradients of the projection are made in
/// forward (see LinearCrossEntropy); I hands them on through the norm, W is the norm's alone. Tensor ranks
/// divide the vocabulary: each has its part of the logits of all tokens, and they tell each other the largest
/// logit, the sum of exponentials and the label's logit of each token, nothing larger.
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
        rows_(host),
        norm_(*host.parameters, "norm.weight", dim_, static_cast<float>(config.get_float("norm_eps")), rows_,
              Lifetime::weight),
        projection_(declare_projection(*host.parameters, config)),
        norm_segment_(
            *this, "norm",
            {&HeadLayer::norm_forward, &HeadLayer::norm_backward_input, &HeadLayer::norm_backward_weight}),
        gather_("gather", RowsSegment::Forward::gather, rows_, dim_, norm_.entries()),
        segment_(*this, "head",
                 {&HeadLayer::forward, &HeadLayer::backward_input, &HeadLayer::backward_weight}),
        parameters_{&norm_.weight(), &projection_} {
    if (rows_.travel())
      segments_ = {&norm_segment_, &gather_, &segment_};
    else
      segments_ = {&segment_};
    projection_.offers_freezing();
    if (!config.get_bool("bias")) return;
    bias_ = &host.parameters
                 ->declare(ParameterSpec::whole("output.bias", {vocab_}, ParameterKind::head,
                                                {Initial::Rule::zeros}, {{0, MeshAxis::tp}}))
                 .offers_freezing();
    parameters_.push_back(bias_);
  }

  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  double forward_flops(const BatchShape& shape) const override {
    return 2.0 * static_cast<double>(shape.answers()) * static_cast<double>(dim_) *
           static_cast<double>(vocab_);
  }

  void plan(const BatchShape& shape, StashPlan& plan) override {
    norm_.plan(shape, plan);
    const std::int64_t ranks = rows_.travel() ? rows_.ranks() : 0;
    statistics_ = plan.add("statistics", DType::f32, {ranks, 3, shape.tokens()}, Lifetime::forward, "head");
    lse_ = plan.add("lse", DType::f32, {ranks > 0 ? shape.tokens() : 0}, Lifetime::forward, "head");
    const std::int64_t answers = shape.phase == Phase::decode ? shape.answers() : 0;
    answers_ = plan.add("answers", shape.compute, {answers, dim_}, Lifetime::forward, "head");
  }

 private:
  Parameter& declare_projection(ParameterStore& store, const Config& config) const {
    const auto std = static_cast<float>(config.get_float("init_std"));
    const Initial initial{.std = std, .bound = 3 * std};
    const bool tied = config.get_bool("tied");
    return store.declare(ParameterSpec::whole(
        tied ? "tok_embeddings.weight" : "output.weight", {vocab_, dim_},
        tied ? ParameterKind::embedding : ParameterKind::head, initial, {{0, MeshAxis::tp}}));
  }

  void norm_forward(Run& run, Frame& frame) { norm_.forward(run, frame); }
  void norm_backward_input(Run& run, Frame& frame) { norm_.backward_input(run, frame, {}); }
  void norm_backward_weight(Run& run, Frame& frame) { norm_.backward_weight(run, frame); }

  std::int64_t first_id() const { return projection_.part_box(0).begin(0); }
  TensorView bias() const { return bias_ ? bias_->weight : TensorView{}; }

  void forward(Run& run, Frame& frame) {
    if (!rows_.travel()) norm_.forward(run, frame);
    const TensorView normed = norm_.all_output(run, frame);
    if (run.shape.phase == Phase::decode) return answer(run, frame, normed);
    if (run.labels.empty()) return project(run, normed);
    if (rows_.travel()) return divided_loss(run, frame, normed);
    LinearCrossEntropy args{normed, projection_.weight, bias(), run.labels, run.loss_sum, run.logits, {}, {},
                            {},     run.gradient_scale};
    if (run.training()) {
      args.dx = norm_.all_gradient(run, frame);
      args.dw = projection_.grad;
      args.dbias = bias_ ? bias_->grad : TensorView{};
    }
    run.ops.linear_cross_entropy(args);
  }

  /// Logits of the rows that want them; those of the others' places say nothing.
  void answer(Run& run, Frame& frame, TensorView normed) {
    if (run.logits.empty()) return;
    run.ops.permute_forward({normed, run.rows.answers, {}, 1, frame[answers_]});
    project(run, frame[answers_]);
  }

  /// Logits without a loss, where somebody wants them.
  void project(Run& run, TensorView normed) {
    if (run.logits.empty()) return;
    run.ops.linear_forward({normed, projection_.weight, bias(), {}, own_logits(run)});
    share_logits(run);
  }

  /// The columns of this rank's part of the vocabulary, among zeros.
  TensorView own_logits(const Run& run) const {
    if (run.logits.empty() || !rows_.travel()) return run.logits;
    run.device.fill_zero(Lane::compute, run.logits.data, run.logits.bytes());
    return run.logits.slice(1, first_id(), first_id() + projection_.shape()[0]);
  }

  void share_logits(Run& run) {
    if (rows_.travel() && !run.logits.empty()) rows_.sum_everywhere(run.logits);
  }

  void divided_loss(Run& run, Frame& frame, TensorView normed) {
    const TensorView all = frame[statistics_], lse = frame[lse_];
    const std::int64_t rank = run.shape.tensor_rank;
    const TensorView own = all.rows(rank, rank + 1).reshape({3, run.shape.tokens()});
    run.ops.vocabulary_statistics(
        {normed, projection_.weight, bias(), run.labels, own, own_logits(run), first_id(), vocab_});
    share_logits(run);
    rows_.gather_blocks(all);
    run.ops.vocabulary_loss({run.labels, all, lse, run.loss_sum, run.shape.first_row(), run.shape.rows()});
    if (!run.training()) return;
    run.ops.vocabulary_gradient({normed, projection_.weight, bias(), run.labels, lse,
                                 norm_.all_gradient(run, frame), projection_.grad,
                                 bias_ ? bias_->grad : TensorView{}, first_id(), vocab_, run.gradient_scale});
  }

  void backward_input(Run& run, Frame& frame) {
    if (!rows_.travel()) norm_.backward_input(run, frame, {});
  }

  void backward_weight(Run& run, Frame& frame) {
    if (!rows_.travel()) norm_.backward_weight(run, frame);
  }

  std::int64_t dim_, vocab_;
  TensorRows rows_;
  PreNorm norm_;
  Parameter& projection_;
  Parameter* bias_ = nullptr;
  Entry statistics_, lse_, answers_;
  SegmentOf<HeadLayer> norm_segment_;
  RowsSegment gather_;
  SegmentOf<HeadLayer> segment_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("layer-head", CARAVAN_VERSION, "Apache-2.0", "Final norm and language-model head",
               caravan::component<caravan::HeadLayer>());
