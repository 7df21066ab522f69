#include "caravan/optimizer.hpp"
#include "caravan/plugin.hpp"

namespace caravan {
namespace {

/// AdamW on every parameter alike, norms and embeddings included, as torchtitan trains Llama 4.
class AdamW final : public Optimizer {
 public:
  using Interface = Optimizer;
  static constexpr const char* kName = "adamw";
  static constexpr const char* kSummary = "AdamW with decoupled weight decay";
  static constexpr caravan_param kParams[] = {
      {"beta1", "float", "0.9", "", "[0, 1)", "Decay of the first moment."},
      {"beta2", "float", "0.95", "", "[0, 1)", "Decay of the second moment."},
      {"eps", "float", "1e-8", "", "> 0", "Added to the root of the second moment."},
      {"weight_decay", "float", "0.1", "", ">= 0", "Decoupled decay, times the learning rate."},
      {"decay_norms", "bool", "true", "", "", "Decay the weights of norms too."},
  };

  AdamW(const Host&, const Config& config)
      : beta1_(config.get_float("beta1")),
        beta2_(config.get_float("beta2")),
        eps_(config.get_float("eps")),
        weight_decay_(config.get_float("weight_decay")),
        decay_norms_(config.get_bool("decay_norms")) {}

  std::vector<std::string> slots() const override { return {"exp_avg", "exp_avg_sq"}; }

  bool is_elementwise() const override { return true; }

  void update(Ops& ops, const OptimizerStep& step, const UpdateGroup& group) override {
    const bool decays = decay_norms_ || group.kind != ParameterKind::norm;
    const double decay = group.decay_or(decays ? weight_decay_ : 0.0);
    ops.adamw_step({group.master, group.grad, group.slots[0], group.slots[1], group.weight, step.lr, beta1_,
                    beta2_, eps_, decay, step.step, step.gradient_scale});
  }

 private:
  double beta1_, beta2_, eps_, weight_decay_;
  bool decay_norms_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("optimizer-adamw", CARAVAN_VERSION, "Apache-2.0", "AdamW",
               caravan::component<caravan::AdamW>());
