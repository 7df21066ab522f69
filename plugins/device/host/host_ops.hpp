#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "caravan/reference_ops.hpp"
#include "gemm.hpp"
#include "memory.hpp"
#include "parallel.hpp"

namespace caravan::host {

/// The operators in fp32 on the processor: all of today's. One that is added later runs as the reference does
/// until it is overridden here. One object serves one thread at a time: it owns the scratch memory of its
/// workers.
class HostOps final : public ReferenceOps {
 public:
  explicit HostOps(const Team& team)
      : team_(team), workspaces_(static_cast<std::size_t>(team.threads())), products_(team) {}
  std::string_view device_name() const override { return "host"; }
  OperatorPath usual_path() const override { return {"own loops", "vectors of this processor"}; }
  /// Its products and permutations cost no more one by one.
  bool serves(const DecodeExperts&) const override { return false; }
  using ReferenceOps::path_of;
  OperatorPath path_of(const QkPrepareForward& args) const override;
  OperatorPath path_of(const QkPrepareBackward& args) const override;
  OperatorPath path_of(const GateUpForward&) const override { return {"own loops", "product, then SwiGLU"}; }
  OperatorPath path_of(const DownBackwardInput&) const override {
    return {"own loops", "product, then SwiGLU"};
  }
  OperatorPath path_of(const ClipFactor&) const override { return {"plain loops", "one number"}; }
  OperatorPath path_of(const ClipHeads&) const override { return {"plain loops", "heads that are clipped"}; }
  OperatorPath path_of(const AdvanceRows&) const override { return {"plain loops", "few numbers a row"}; }
  OperatorPath path_of(const VocabularyLoss&) const override {
    return {"plain loops", "few numbers a token"};
  }

  void embedding_forward(const EmbeddingForward& args) override;
  void embedding_backward_weight(const EmbeddingBackwardWeight& args) override;
  void add_positions(const AddPositions& args) override;
  void linear_forward(const LinearForward& args) override;
  void linear_backward_input(const LinearBackwardInput& args) override;
  void linear_backward_weight(const LinearBackwardWeight& args) override;
  void grouped_linear_forward(const GroupedLinearForward& args) override;
  void grouped_linear_backward_input(const GroupedLinearBackwardInput& args) override;
  void grouped_linear_backward_weight(const GroupedLinearBackwardWeight& args) override;
  void rmsnorm_forward(const RmsNormForward& args) override;
  void rmsnorm_backward_input(const RmsNormBackwardInput& args) override;
  void rmsnorm_backward_weight(const RmsNormBackwardWeight& args) override;
  void qk_prepare_forward(const QkPrepareForward& args) override;
  void qk_prepare_backward(const QkPrepareBackward& args) override;
  void qk_prepare_cached(const QkPrepareCached& args) override;
  void paged_attention(const PagedAttention& args) override;
  void sample_tokens(const SampleTokens& args) override;
  void attention_forward(const AttentionForward& args) override;
  void attention_backward(const AttentionBackward& args) override;
  void largest_logits(const LargestLogits& args) override;
  void swiglu_forward(const SwigluForward& args) override;
  void swiglu_backward(const SwigluBackward& args) override;
  void gelu_forward(const GeluForward& args) override;
  void gelu_backward(const GeluBackward& args) override;
  void route_forward(const RouteForward& args) override;
  void route_backward(const RouteBackward& args) override;
  void limit_choices(const LimitChoices& args) override;
  void balance_loss_forward(const BalanceLossForward& args) override;
  void balance_loss_backward(const BalanceLossBackward& args) override;
  void permute_forward(const PermuteForward& args) override;
  void permute_backward(const PermuteBackward& args) override;
  void combine_forward(const CombineForward& args) override;
  void combine_backward(const CombineBackward& args) override;
  void linear_cross_entropy(const LinearCrossEntropy& args) override;
  void vocabulary_statistics(const VocabularyStatistics& args) override;
  void vocabulary_gradient(const VocabularyGradient& args) override;
  void dropout(const Dropout& args) override;
  void add(const Add& args) override;
  void adamw_step(const AdamWStep& args) override;
  void sgd_step(const SgdStep& args) override;
  void lion_step(const LionStep& args) override;
  void momentum_step(const MomentumStep& args) override;
  void weighted_sum(const WeightedSum& args) override;
  void sum_of_squares(const SumOfSquares& args) override;
  void expert_bias_update(const ExpertBiasUpdate& args) override;

 private:
  Workspace& workspace(std::int64_t worker) { return workspaces_[static_cast<std::size_t>(worker)]; }

  Team team_;
  std::vector<Workspace> workspaces_;                        ///< one a worker
  Workspace shared_;                                         ///< of all workers together
  std::vector<std::pair<double, std::int32_t>> candidates_;  ///< tokens that may be drawn
  Products products_;
};

}  // namespace caravan::host
