#include <algorithm>
#include <cmath>

#include "caravan/optimizer.hpp"
#include "caravan/plugin.hpp"

namespace caravan {
namespace {

/// Coefficients of Newton-Schulz's quintic iteration X ← a·X + (b·A + c·A²)·X, A = X·Xᵀ (Jordan et al. 2024):
/// singular values come near 1 in few steps, between 0.7 and 1.2, and no nearer.
struct Quintic {
  double a = 3.4445, b = -4.7750, c = 2.0315;
};

/// Momentum orthogonalised a matrix at a time. What is no hidden layer's matrix follows AdamW.
class Muon final : public Optimizer {
 public:
  using Interface = Optimizer;
  static constexpr const char* kName = "muon";
  static constexpr const char* kSummary =
      "Orthogonalised momentum on the matrices of hidden layers, AdamW on the rest";
  static constexpr caravan_param kParams[] = {
      {"momentum", "float", "0.95", "", "[0, 1)", "Decay of the momentum buffer of matrices."},
      {"nesterov", "bool", "true", "", "", "Orthogonalise the momentum as it will be."},
      {"weight_decay", "float", "0.1", "", ">= 0", "Decoupled decay of all, times the learning rate."},
      {"steps", "int", "5", "steps", "[1, 100]", "Newton-Schulz iterations."},
      {"adjust_lr", "match_rms_adamw|original", "match_rms_adamw", "", "",
       "Factor of matrices [N, M]: 0.2 sqrt(max(N, M)), with which a learning rate and a decay of AdamW's "
       "fit "
       "(Moonshot), or sqrt(max(1, N/M))."},
      {"eps", "float", "1e-7", "", "> 0", "The least norm that a matrix is divided by."},
      {"router", "adamw|muon", "adamw", "", "", "What routers follow."},
      {"qk_clip", "float", "null", "", "> 0",
       "The largest attention logit: weights of queries and keys whose step had larger ones are scaled down "
       "after "
       "the update (MuonClip); null: no clip."},
      {"beta1", "float", "0.9", "", "[0, 1)", "AdamW's, of the rest."},
      {"beta2", "float", "0.95", "", "[0, 1)", "AdamW's, of the rest."},
      {"adamw_eps", "float", "1e-8", "", "> 0", "AdamW's, of the rest."},
  };

  Muon(const Host&, const Config& config)
      : momentum_(config.get_float("momentum")),
        nesterov_(config.get_bool("nesterov")),
        weight_decay_(config.get_float("weight_decay")),
        steps_(config.get_int("steps")),
        matches_adamw_(config.get_string("adjust_lr") == "match_rms_adamw"),
        eps_(config.get_float("eps")),
        takes_routers_(config.get_string("router") == "muon"),
        largest_logit_(config.find("qk_clip").is_null() ? 0 : config.get_float("qk_clip")),
        beta1_(config.get_float("beta1")),
        beta2_(config.get_float("beta2")),
        adamw_eps_(config.get_float("adamw_eps")) {}

  std::vector<std::string> slots() const override { return {"momentum_buffer", "exp_avg", "exp_avg_sq"}; }

  bool keeps(std::size_t slot, const ParameterSpec& spec) const override {
    return takes_matrices(spec) == (slot == kMomentum);
  }

  bool is_elementwise() const override { return true; }

  bool takes_matrices(const ParameterSpec& spec) const override {
    switch (spec.kind) {
      case ParameterKind::attention:
      case ParameterKind::dense:
      case ParameterKind::shared_expert:
        return spec.shape.rank() == 2;  // not biases
      case ParameterKind::expert:
        return spec.shape.rank() == 3;
      case ParameterKind::router:
        return takes_routers_ && spec.shape.rank() == 2;
      default:
        return false;
    }
  }

  void prepare(Ops& ops, const OptimizerStep& step, const UpdateGroup& group) override {
    ops.momentum_step({group.grad, group.slots[kMomentum], momentum_, nesterov_, step.gradient_scale});
  }

  /// Room for A, A² and the next X.
  std::int64_t work_elements(std::int64_t rows, std::int64_t columns) const override {
    const std::int64_t shorter = std::min(rows, columns);
    return 2 * padded(shorter * shorter) + rows * columns;
  }

  void transform(Ops& ops, const WholeMatrix& matrix) override {
    const TensorView& x = matrix.values;
    ops.sum_of_squares({x, matrix.sum});
    ops.weighted_sum({.x = x, .y = {}, .out = x, .squares = matrix.sum, .floor = eps_});
    for (std::int64_t step = 1; step <= steps_; ++step)
      iterate(ops, matrix, step == steps_ ? factor(x.shape) : 1.0);
  }

  void update(Ops& ops, const OptimizerStep& step, const UpdateGroup& group) override {
    const double decay = group.decay_or(weight_decay_);
    if (group.by_matrix)  // w ← w − lr·(update + decay·w)
      return ops.sgd_step({.master = group.master,
                           .grad = group.grad,
                           .momentum_buffer = {},
                           .weight = group.weight,
                           .lr = step.lr,
                           .weight_decay = decay,
                           .gradient_scale = {},
                           .proceed = step.gradient_scale});
    ops.adamw_step({group.master, group.grad, group.slots[kExpAvg], group.slots[kExpAvgSq], group.weight,
                    step.lr, beta1_, beta2_, adamw_eps_, decay, step.step, step.gradient_scale});
  }

  double largest_logit() const override { return largest_logit_; }

 private:
  static constexpr std::size_t kMomentum = 0, kExpAvg = 1, kExpAvgSq = 2;

  /// So that the next view begins on 64 bytes.
  static std::int64_t padded(std::int64_t elements) { return (elements + 15) / 16 * 16; }

  double factor(const Shape& shape) const {
    const auto rows = static_cast<double>(shape[0]), columns = static_cast<double>(shape[1]);
    return matches_adamw_ ? 0.2 * std::sqrt(std::max(rows, columns))
                          : std::sqrt(std::max(1.0, rows / columns));
  }

  /// One iteration, and the result times `factor`. Of a matrix with more rows than columns A = Xᵀ·X stands on
  /// the right, which is the same.
  void iterate(Ops& ops, const WholeMatrix& matrix, double factor) const {
    const TensorView& x = matrix.values;
    const std::int64_t rows = x.extent(0), columns = x.extent(1), shorter = std::min(rows, columns);
    const auto room = [&](std::int64_t first, const Shape& shape) {
      return matrix.work.rows(first, first + shape.count()).reshape(shape);
    };
    const TensorView a = room(0, {shorter, shorter}), b = room(padded(shorter * shorter), a.shape),
                     next = room(2 * padded(shorter * shorter), x.shape);
    const bool is_tall = rows > columns;
    if (is_tall)
      ops.linear_backward_weight({x, x, a, {}, Accumulate::replace});
    else
      ops.linear_forward({x, x, {}, {}, a});
    ops.linear_forward({a, a, {}, {}, b});
    ops.weighted_sum({.x = a, .y = b, .out = b, .a = kQuintic.b, .b = kQuintic.c, .squares = {}});
    if (is_tall)
      ops.linear_forward({x, b, {}, {}, next});
    else
      ops.linear_backward_input({b, x, next});
    ops.weighted_sum({.x = x, .y = next, .out = x, .a = factor * kQuintic.a, .b = factor, .squares = {}});
  }

  static constexpr Quintic kQuintic{};
  double momentum_;
  bool nesterov_;
  double weight_decay_;
  std::int64_t steps_;
  bool matches_adamw_;
  double eps_;
  bool takes_routers_;
  double largest_logit_;
  double beta1_, beta2_, adamw_eps_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("optimizer-muon", CARAVAN_VERSION, "Apache-2.0", "Muon", caravan::component<caravan::Muon>());
