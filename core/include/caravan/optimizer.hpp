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

/// The update rule. Plugin kind "optimizer". Keeps no state of its own: everything is in the parameter's
/// slots, so checkpoints and sharding see it.
class Optimizer {
 public:
  static constexpr const char* kKind = "optimizer";
  static constexpr std::uint32_t kKindVersion = 1;
  virtual ~Optimizer() = default;
  /// Names of the fp32 tensors kept beside each parameter, e.g. {"exp_avg", "exp_avg_sq"}.
  virtual std::vector<std::string> slots() const = 0;
  /// The update of an element depends on its own gradient and slots and on the parameter's kind alone: then
  /// several parameters of a kind may come as one flat one, under the name of the first.
  virtual bool is_elementwise() const { return false; }
  /// Updates master, weight and slots of one parameter from its gradient.
  virtual void update(Ops& ops, const OptimizerStep& step, Parameter& parameter) = 0;
};

}  // namespace caravan
