#include "caravan/optimizer.hpp"
#include "caravan/plugin.hpp"

namespace caravan {
namespace {

/// Adam as it was published (Kingma & Ba 2015): weight decay is a part of the gradient (L2), so that both
/// moments see it, where AdamW takes it off the weights beside the step.
class Adam final : public Optimizer {
 public:
  using Interface = Optimizer;
  static constexpr const char* kName = "adam";
  static constexpr const char* kSummary = "Adam with weight decay in the gradient (L2); see adamw";
  static constexpr caravan_param kParams[] = {
      {"beta1", "float", "0.9", "", "[0, 1)", "Decay of the first moment."},
      {"beta2", "float", "0.999", "", "[0, 1)", "Decay of the second moment."},
      {"eps", "float", "1e-8", "", "> 0", "Added to the root of the second moment."},
      {"weight_decay", "float", "0", "", ">= 0", "Times the weights, added to the gradient."},
  };

  Adam(const Host&, const Config& config)
      : beta1_(config.get_float("beta1")),
        beta2_(config.get_float("beta2")),
        eps_(config.get_float("eps")),
        weight_decay_(config.get_float("weight_decay")) {}

  std::vector<std::string> slots() const override { return {"exp_avg", "exp_avg_sq"}; }

  bool is_elementwise() const override { return true; }

  void update(Ops& ops, const OptimizerStep& step, const UpdateGroup& group) override {
    ops.adamw_step({.master = group.master,
                    .grad = group.grad,
                    .exp_avg = group.slots[0],
                    .exp_avg_sq = group.slots[1],
                    .weight = group.weight,
                    .lr = step.lr,
                    .beta1 = beta1_,
                    .beta2 = beta2_,
                    .eps = eps_,
                    .weight_decay = group.decay_or(weight_decay_),
                    .step = step.step,
                    .gradient_scale = step.gradient_scale,
                    .decays_gradient = true});
  }

 private:
  double beta1_, beta2_, eps_, weight_decay_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("optimizer-adam", CARAVAN_VERSION, "Apache-2.0", "Adam", caravan::component<caravan::Adam>());
