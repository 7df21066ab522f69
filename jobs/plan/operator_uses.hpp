#pragma once

#include <string>
#include <vector>

#include "caravan/ops.hpp"
#include "jobs/plan/paper_walk.hpp"
#include "jobs/plan/train_setup.hpp"

namespace caravan::jobs {

/// Calls of an operator that run the same way.
struct OperatorUse {
  std::string name;
  OperatorPath path;
  int calls = 0;
};

/// What a training step of this rank calls on the job's device: forward and backward of one micro-batch, what
/// is done again in it, and the update; in the order of the first calls. Found by a walk on paper: nothing is
/// allocated or computed. DeviceError where no kernel of the device serves a shape.
std::vector<OperatorUse> operator_uses(TrainSetup& setup, Documents documents);

/// The same as a table, for the data of the job.
std::string describe_operators(TrainSetup& setup);

}  // namespace caravan::jobs
