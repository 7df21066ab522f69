#include "caravan/check.hpp"
#include "caravan/optimizer.hpp"
#include "caravan/plugin.hpp"

namespace caravan {
namespace {

/// Gradient descent as PyTorch's SGD: decay is a part of the gradient, and the momentum buffer begins at 0.
class Sgd final : public Optimizer {
 public:
  using Interface = Optimizer;
  static constexpr const char* kName = "sgd";
  static constexpr const char* kSummary = "Gradient descent, with momentum or Nesterov's";
  static constexpr caravan_param kParams[] = {
      {"momentum", "float", "0", "", "[0, 1)", "Decay of the momentum buffer; 0: none is kept."},
      {"nesterov", "bool", "false", "", "", "Step ahead along the momentum."},
      {"weight_decay", "float", "0", "", ">= 0", "Times the weights, added to the gradient."},
  };

  Sgd(const Host&, const Config& config)
      : momentum_(config.get_float("momentum")),
        nesterov_(config.get_bool("nesterov")),
        weight_decay_(config.get_float("weight_decay")) {
    CARAVAN_CHECK(!nesterov_ || momentum_ > 0, ConfigError,
                  "nesterov has no effect (momentum is 0). momentum=0.9?");
  }

  std::vector<std::string> slots() const override {
    return momentum_ > 0 ? std::vector<std::string>{"momentum_buffer"} : std::vector<std::string>{};
  }

  bool is_elementwise() const override { return true; }

  void update(Ops& ops, const OptimizerStep& step, const UpdateGroup& group) override {
    ops.sgd_step({.master = group.master,
                  .grad = group.grad,
                  .momentum_buffer = momentum_ > 0 ? group.slots[0] : TensorView{},
                  .weight = group.weight,
                  .lr = step.lr,
                  .momentum = momentum_,
                  .weight_decay = group.decay_or(weight_decay_),
                  .nesterov = nesterov_,
                  .gradient_scale = step.gradient_scale,
                  .proceed = {}});
  }

 private:
  double momentum_;
  bool nesterov_;
  double weight_decay_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("optimizer-sgd", CARAVAN_VERSION, "Apache-2.0", "Stochastic gradient descent",
               caravan::component<caravan::Sgd>());
