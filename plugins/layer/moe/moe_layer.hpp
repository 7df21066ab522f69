#pragma once

#include <optional>
#include <vector>

#include "caravan/dispatch.hpp"
#include "caravan/layer_blocks.hpp"
#include "caravan/plugin.hpp"
#include "caravan/registry.hpp"
#include "plugins/layer/moe/options.hpp"
#include "plugins/layer/moe/params.hpp"

namespace caravan::moe {

/// y = x + dropout(shared(n) + Σ_k expert_k(n)), n = norm(x); each token's score multiplies its expert's
/// input or output. Segments: router | dispatch | shared, which may run while dispatch is in flight |
/// experts | combine | merge.
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
  void end_of_step(Ops& ops, TensorView proceed) override;
  double forward_flops(const BatchShape& shape) const override;

 private:
  /// Posts rows one way in forward, the other way in backward.
  class Exchange final : public Segment {
   public:
    enum class Way { dispatch, combine };
    Exchange(MoeLayer& layer, Way way) : layer_(layer), way_(way) {}
    std::string_view name() const override { return way_ == Way::dispatch ? "dispatch" : "combine"; }
    Lane lane() const override { return Lane::expert; }
    void wait(Run& run) override { layer_.dispatcher_->wait(run.pending); }
    void forward(Run& run, Frame& frame) override;
    void backward_input(Run& run, Frame& frame) override;

   private:
    MoeLayer& layer_;
    Way way_;
  };

  void declare_entries(const BatchShape& shape, StashPlan& plan);
  void route(Run& run, Frame& frame);
  void score(Run& run, Frame& frame, TensorView normed);
  void router_forward(Run& run, Frame& frame);
  void router_backward_input(Run& run, Frame& frame);
  void router_backward_weight(Run& run, Frame& frame);
  void route_backward(Run& run, Frame& frame);
  void shared_forward(Run& run, Frame& frame);
  void shared_backward_input(Run& run, Frame& frame);
  void shared_backward_weight(Run& run, Frame& frame);
  void experts_forward(Run& run, Frame& frame);
  void experts_backward_input(Run& run, Frame& frame);
  void experts_backward_weight(Run& run, Frame& frame);
  void merge_forward(Run& run, Frame& frame);
  void merge_backward_input(Run& run, Frame& frame);

  Routing routing(const Frame& frame) const;
  /// What the balance loss reads: logits before the noise, so that its gradient has one way back.
  TensorView balanced_logits(const Frame& frame) const { return frame[noise_ ? clean_logits_ : logits_]; }
  bool balances() const { return options_.balance_loss > 0; }
  // With a dispatcher that works in place, the rows before and after an exchange are the same memory.
  TensorView sent(const Frame& frame) const { return frame[dispatcher_->in_place() ? received_ : sent_]; }
  TensorView returned(const Frame& frame) const {
    return frame[dispatcher_->in_place() ? expert_out_ : returned_];
  }
  TensorView dreturned(const Frame& frame) const {
    return frame[dispatcher_->in_place() ? dexpert_out_ : dreturned_];
  }
  TensorView dsent(const Frame& frame) const { return frame[dispatcher_->in_place() ? dreceived_ : dsent_]; }

  Options options_;
  Made<Dispatcher> dispatcher_;
  PreNorm norm_;
  std::string stream_;
  OutputDropout dropout_;
  Parameter& gate_;             // [E, H]
  Parameter* noise_ = nullptr;  // [E, H]
  Parameter& gate_up_;          // [E, 2F, H]
  Parameter& down_;             // [E, H, F]
  std::optional<SwigluBlock> shared_;
  Buffer& counts_;          // [E]
  Buffer* bias_ = nullptr;  // [E]
  Entry logits_, clean_logits_, noise_std_, experts_, weights_, offsets_, row_of_, choice_of_;
  Entry sent_, received_, pre_, activated_, expert_out_, returned_;
  Entry dweights_, dlogits_, dnoise_, dreturned_, dexpert_out_, dactivated_, dpre_, dreceived_, dsent_;
  SegmentOf<MoeLayer> router_, shared_segment_, experts_segment_, merge_;
  Exchange dispatch_, combine_;
  std::vector<Segment*> segments_;
  std::vector<Parameter*> parameters_;
};

}  // namespace caravan::moe
