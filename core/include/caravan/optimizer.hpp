#pragma once

#include <cstdint>
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
  std::vector<TensorView> slots;  ///< f32, as Optimizer::slots names them
};

/// The update rule. Plugin kind "optimizer". Keeps no state of its own: everything is in slots, so
/// checkpoints and sharding see it.
class Optimizer {
 public:
  static constexpr const char* kKind = "optimizer";
  static constexpr std::uint32_t kKindVersion = 2;
  virtual ~Optimizer() = default;
  /// Names of the fp32 tensors kept beside each parameter, e.g. {"exp_avg", "exp_avg_sq"}.
  virtual std::vector<std::string> slots() const = 0;
  /// The update of an element depends on its own gradient and slots and on the parameter's kind alone: see
  /// UpdateGroup.
  virtual bool is_elementwise() const { return false; }
  /// Updates master, weight and slots from the gradient.
  virtual void update(Ops& ops, const OptimizerStep& step, const UpdateGroup& group) = 0;
};

}  // namespace caravan
