#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "caravan/ops.hpp"
#include "caravan/parameter.hpp"

namespace caravan {

/// What changes from step to step.
struct OptimizerStep {
  std::int64_t step = 1;  ///< 1-based
  double lr = 0;
  TensorView gradient_scale;  ///< [1] f32 on the device: the clip factor
};

/// Elements that are updated at once: a parameter in its shape, or, where the rule is elementwise, any run of
/// elements of parameters of one kind as a flat tensor.
struct UpdateGroup {
  std::string name;  ///< of the first parameter
  ParameterKind kind = ParameterKind::dense;
  TensorView master;              ///< f32
  TensorView weight;              ///< the rounded copy that operators read; empty where that is the master
  TensorView grad;                ///< f32
  std::vector<TensorView> slots;  ///< f32, as Optimizer::slots names them; empty where it does not keep() one
  std::optional<double> weight_decay{};  ///< instead of the optimizer's, see decay_or()
  double lr_factor = 1;                  ///< OptimizerStep::lr has it already
  bool by_matrix = false;                ///< see Optimizer::takes_matrices

  /// The weight decay of these elements where the optimizer's is `usual`.
  double decay_or(double usual) const { return weight_decay.value_or(usual); }
};

/// A whole matrix in the device's memory, wherever its elements are kept.
struct WholeMatrix {
  TensorView values;  ///< [N, M] f32, contiguous; read and written
  TensorView work;    ///< [Optimizer::work_elements(N, M)] f32 for the length of the call
  TensorView sum;     ///< [1] f64, 0
};

/// The update rule. Plugin kind "optimizer". Keeps no state of its own: everything is in slots, so
/// checkpoints and sharding see it.
class Optimizer {
 public:
  static constexpr const char* kKind = "optimizer";
  static constexpr std::uint32_t kKindVersion = 4;
  virtual ~Optimizer() = default;
  /// Names of the fp32 tensors kept beside parameters, e.g. {"exp_avg", "exp_avg_sq"}; at most 32.
  virtual std::vector<std::string> slots() const = 0;
  /// Whether a parameter has `slots()[slot]`.
  virtual bool keeps(std::size_t /*slot*/, const ParameterSpec&) const { return true; }
  /// The update of an element depends on its own gradient and slots and on the parameter's kind alone: see
  /// UpdateGroup.
  virtual bool is_elementwise() const { return false; }
  /// Updates master, weight and slots from the gradient.
  virtual void update(Ops& ops, const OptimizerStep& step, const UpdateGroup& group) = 0;

  // For an elementwise rule with a step that sees whole matrices: prepare(), then transform(), then update().
  /// Whether it sees those of a parameter: of every part, and of experts each one's, whole on whatever ranks
  /// their elements are kept.
  virtual bool takes_matrices(const ParameterSpec&) const { return false; }
  /// Of such a parameter: replaces the gradient, element by element, by what matrices are made of.
  virtual void prepare(Ops&, const OptimizerStep&, const UpdateGroup&) {}
  /// Changes a matrix of them; update() then finds its elements in `grad`. Every rank that keeps some of it
  /// must come to the same values.
  virtual void transform(Ops&, const WholeMatrix&) {}
  virtual std::int64_t work_elements(std::int64_t /*rows*/, std::int64_t /*columns*/) const { return 0; }

  /// After update() the weights of queries and keys are scaled down where logits of the step were larger, see
  /// ClipHeads. 0: they are not looked at.
  virtual double largest_logit() const { return 0; }
};

}  // namespace caravan
