#include "caravan/optimizer.hpp"
#include "caravan/plugin.hpp"

namespace caravan {
namespace {

/// Lion: steps of one size along the sign of an interpolated momentum, which is all that it keeps. Its
/// learning rate is 3 to 10 times smaller than AdamW's and its weight decay as much larger (Chen et al.
/// 2023).
class Lion final : public Optimizer {
 public:
  using Interface = Optimizer;
  static constexpr const char* kName = "lion";
  static constexpr const char* kSummary = "Sign of an interpolated momentum, with decoupled weight decay";
  static constexpr caravan_param kParams[] = {
      {"beta1", "float", "0.9", "", "[0, 1)", "Weight of the momentum in the step."},
      {"beta2", "float", "0.99", "", "[0, 1)", "Decay of the momentum."},
      {"weight_decay", "float", "0", "", ">= 0", "Decoupled decay, times the learning rate."},
  };

  Lion(const Host&, const Config& config)
      : beta1_(config.get_float("beta1")),
        beta2_(config.get_float("beta2")),
        weight_decay_(config.get_float("weight_decay")) {}

  std::vector<std::string> slots() const override { return {"exp_avg"}; }

  bool is_elementwise() const override { return true; }

  void update(Ops& ops, const OptimizerStep& step, const UpdateGroup& group) override {
    ops.lion_step({.master = group.master,
                   .grad = group.grad,
                   .exp_avg = group.slots[0],
                   .weight = group.weight,
                   .lr = step.lr,
                   .beta1 = beta1_,
                   .beta2 = beta2_,
                   .weight_decay = group.decay_or(weight_decay_),
                   .gradient_scale = step.gradient_scale});
  }

 private:
  double beta1_, beta2_, weight_decay_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("optimizer-lion", CARAVAN_VERSION, "Apache-2.0", "Lion", caravan::component<caravan::Lion>());
