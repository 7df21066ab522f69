#pragma once

#include <vector>

#include "caravan/schedule.hpp"
#include "core/run/sharded_parameters.hpp"
#include "core/run/walk.hpp"

namespace caravan {

/// The walks of a stage, with the exchanges of its parameter groups.
class StageWalks {
 public:
  /// `groups`: of parameters that ranks divide; null where all are whole. `separates`: see StashLayout.
  StageWalks(const std::vector<Layer*>& layers, const RecomputePlan& recompute, bool separates,
             const StageGroups* groups);
  /// The walk of F (also R), I, W or B that comes next, over the micro-batch in `set`.
  const Walk& next(ActionKind kind, int set);

 private:
  bool separates_;
  int just_forward_ = -1;  ///< set of the last walk, if that was a forward
  Walk forward_, backward_, backward_input_, backward_weight_;
  // After the forward of the same micro-batch, what the last layers do not keep is still there.
  Walk backward_at_once_, backward_input_at_once_;
};

}  // namespace caravan
