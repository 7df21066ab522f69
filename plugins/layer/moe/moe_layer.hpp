#pragma once

#include <optional>
#include <vector>

#include "caravan/dispatch.hpp"
#include "caravan/layer_blocks.hpp"
#include "caravan/plugin.hpp"
#include "caravan/registry.hpp"
#include "caravan/split_product.hpp"
#include "plugins/layer/moe/balance_loss.hpp"
#include "plugins/layer/moe/options.hpp"
#include "plugins/layer/moe/params.hpp"

namespace caravan::moe {

/// y = x + dropout(shared(n) + Σ_k expert_k(n)), n = norm(x); each token's score multiplies its expert's
/// input or output. Segments: router | dispatch | shared, which may run while dispatch is in flight |
/// experts | combine | merge. Products go by the rows that the dispatcher has brought here, never by those
/// that the router sorted. Tensor ranks divide the matrices of the shared expert, around which rows are
/// gathered and summed. Either each of them routes its own rows, to experts that are whole; or experts are
/// cut as well, each rank routes all rows, and what experts and shared expert make of them is summed
/// together.
class MoeLayer final : public Layer {
 public:
  using Interface = Layer;
  static constexpr const char* kName = "moe";
  static constexpr const char* kSummary =
      "Pre-norm mixture of SwiGLU experts with a shared expert and residual";
  static constexpr auto& kParams = moe::kParams;

  MoeLayer(const Host& host, const Config& config);

  const std::vector<Segment*>& segments() const override { return segments_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  void plan(const BatchShape& shape, StashPlan& plan) override;
  void prepare(Device& device, std::int64_t positions) override;
  void end_of_step(Ops& ops, TensorView proceed) override;
  double forward_flops(const BatchShape& shape) const override;

 private:
  /// Rows to their experts; in backward the gradients of these rows back.
  class DispatchSegment final : public Segment {
   public:
    explicit DispatchSegment(MoeLayer& layer) : layer_(layer) {}
    std::string_view name() const override { return "dispatch"; }
    Lane lane() const override { return Lane::expert; }
    /// In backward the shared expert's gradients may still be on their way.
    bool needs_pending(Lane lane) const override { return lane != Lane::tensor; }
    double sent_bytes(const BatchShape& shape) const override { return layer_.sent_bytes(shape); }
    bool posts_again(const Frame& frame) const override { return layer_.sends_again(frame); }
    void wait(Run& run) override { layer_.chosen_.made->wait(run, run.pending); }
    void forward(Run& run, Frame& frame) override;
    void backward_input(Run& run, Frame& frame) override;

   private:
    MoeLayer& layer_;
  };
  /// The experts' results back to their tokens; in backward the gradients of the tokens to the experts.
  class CombineSegment final : public Segment {
   public:
    explicit CombineSegment(MoeLayer& layer) : layer_(layer) {}
    std::string_view name() const override { return "combine"; }
    Lane lane() const override { return Lane::expert; }
    double sent_bytes(const BatchShape& shape) const override { return layer_.sent_bytes(shape); }
    bool posts_again(const Frame& frame) const override { return frame.repeats_output; }
    void wait(Run& run) override { layer_.chosen_.made->wait(run, run.pending); }
    void forward(Run& run, Frame& frame) override;
    void backward_input(Run& run, Frame& frame) override;

   private:
    MoeLayer& layer_;
  };

  std::vector<Segment*> list_segments();
  void declare_entries(const BatchShape& shape, StashPlan& plan);
  void declare_rows(const BatchShape& shape, StashPlan& plan);
  void declare_exchange(const DispatchNeeds& needs, const BatchShape& shape, StashPlan& plan);
  /// Where several ranks route the same rows the first one counts.
  bool counts_choices(const Run& run) const { return !options_.cuts_experts || run.shape.tensor_rank == 0; }
  void route(Run& run, Frame& frame);
  void limit(Run& run, Frame& frame, TensorView choices);
  void score(Run& run, Frame& frame, TensorView normed);
  void router_forward(Run& run, Frame& frame);
  void router_backward_input(Run& run, Frame& frame);
  void router_backward_weight(Run& run, Frame& frame);
  void route_backward(Run& run, Frame& frame);
  void shared_forward(Run& run, Frame& frame);
  void shared_forward_in(Run& run, Frame& frame, RowRange rows);
  void shared_backward_input(Run& run, Frame& frame);
  void shared_backward_out(Run& run, Frame& frame, RowRange rows);
  void shared_backward_weight(Run& run, Frame& frame);
  void norm_forward(Run& run, Frame& frame) { norm_.forward(run, frame); }
  void norm_backward_input(Run& run, Frame& frame) { norm_.backward_input(run, frame, frame.dy); }
  void norm_backward_weight(Run& run, Frame& frame) { norm_.backward_weight(run, frame); }
  bool rows_travel() const { return norm_.rows().travel(); }
  /// Around the shared expert alone.
  bool gathers_shared() const { return rows_travel() && !options_.cuts_experts; }
  /// Of the rows that this rank's router sees.
  BatchShape routed_shape(const BatchShape& shape) const {
    return options_.cuts_experts ? shape.with_all_rows() : shape;
  }
  /// norm(x) as the router reads it, and where its gradient goes.
  TensorView routed_rows(const Run& run, const Frame& frame) const {
    return options_.cuts_experts ? norm_.all_output(run, frame) : norm_.output(run, frame);
  }
  TensorView routed_gradient(const Run& run, const Frame& frame) const {
    return options_.cuts_experts ? norm_.all_gradient(run, frame) : norm_.gradient(run, frame);
  }
  /// Where the experts' rows are added up.
  TensorView combined(const Run& run, const Frame& frame) const {
    return options_.cuts_experts ? norm_.rows().all(run.shape, frame[summand_]) : frame.y;
  }
  /// Of what they are added up to.
  TensorView combined_gradient(const Run& run, const Frame& frame) const {
    return options_.cuts_experts ? shared_gradient(run, frame) : dropout_.gradient(frame);
  }
  /// What the experts' rows are added to, of as many rows, or nothing.
  TensorView base(const Run& run, const Frame& frame) const;
  /// Of the shared expert's result, [T, H].
  TensorView shared_gradient(const Run& run, const Frame& frame) const;
  void experts_forward(Run& run, Frame& frame);
  /// From the router's choices to y.
  DecodeExperts at_once(const Run& run, const Frame& frame) const;
  /// In decoding, where rows stay on this rank and the device has few tokens' experts as one operator.
  bool goes_at_once(const Run& run, const Frame& frame) const;
  void experts_backward_input(Run& run, Frame& frame);
  void experts_backward_weight(Run& run, Frame& frame);
  bool has_adapters() const {
    return !gate_up_adapters_.empty() || !down_adapters_.empty() || (shared_ && shared_->has_adapters());
  }
  /// What the products of the held experts are of.
  LowRankProducts::Where rows_of_experts(const Frame& frame) const {
    return {{0, frame[received_].extent(0)},
            {},
            received_offsets(frame),
            held_.first_expert,
            held_.local_experts};
  }
  void merge_forward(Run& run, Frame& frame);
  void merge_backward_input(Run& run, Frame& frame);

  DispatchNeeds dispatch_needs(const BatchShape& shape) const;
  std::int64_t capacity(const BatchShape& shape) const;
  void check_experts() const;
  void check_adapters_fit_ranks() const;
  double sent_bytes(const BatchShape& shape) const;
  bool sends_again(const Frame& frame) const;
  /// Of the weights of this rank's experts, or of their gradients, those of the experts that rows come to.
  TensorView of_held_experts(const Parameter& parameter, const TensorView& whole) const;
  Routing routing(const Frame& frame) const;
  /// [L+1] first received row of each held expert: what the products go by.
  TensorView received_offsets(const Frame& frame) const;
  Received received(const Frame& frame) const;
  Received received_gradient(const Frame& frame, TensorView rows) const;
  RoutedTokens routed(const Run& run, const Frame& frame, TensorView noise_std) const;
  /// What the balance loss reads, if there is one: logits before the noise, so that its gradient has one way
  /// back.
  BalanceLoss::Routed balanced(const Run& run, const Frame& frame) const {
    if (!balance_.is_wanted(run.shape.phase)) return {};
    return {frame[noise_ ? clean_logits_ : logits_], sequences_.whole(run, frame, choices_, frame[experts_])};
  }
  /// Something asks what whole sequences have chosen.
  bool asks_sequences(const BatchShape& shape) const {
    return capacity(shape) > 0 || balance_.is_wanted(shape.phase);
  }

  Options options_;
  ChosenDispatcher chosen_;
  DispatchNeeds held_;  ///< of it what is the same for every shape
  PreNorm norm_;
  std::string stream_;
  OutputDropout dropout_;
  WholeSequences sequences_;
  BalanceLoss balance_;
  Parameter& gate_;             // [E, H]
  Parameter* noise_ = nullptr;  // [E, H]
  Parameter& gate_up_;          // [E, 2F, H]
  Parameter& down_;             // [E, H, F]
  LowRankProducts gate_up_adapters_, down_adapters_;
  std::optional<SwigluBlock> shared_;
  Buffer& counts_;          // [E]
  Buffer* bias_ = nullptr;  // [E]
  Entry logits_, clean_logits_, noise_std_, experts_, weights_, offsets_, row_of_, choice_of_;
  WholeSequences::Values choices_{};
  Entry handle_, received_, received_weights_, received_offsets_, pre_, activated_, expert_out_;
  Entry dweights_, dlogits_, dnoise_, dexpert_out_, dactivated_, dpre_, dreceived_;
  Entry scratch_, backward_scratch_;
  Entry summand_, dresult_, drouted_;  ///< where rows travel
  SegmentOf<MoeLayer> norm_segment_;   ///< where the router reads gathered rows
  RowsSegment gather_, sum_;
  SplitProduct<MoeLayer> shared_in_, shared_out_;
  SegmentOf<MoeLayer> router_, shared_segment_, experts_segment_, merge_;
  DispatchSegment dispatch_;
  CombineSegment combine_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace caravan::moe
