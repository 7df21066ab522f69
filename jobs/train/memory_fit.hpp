#pragma once

#include "jobs/train/setup.hpp"

namespace caravan::jobs {

/// DeviceError where the memory plan of this rank is larger than what its device has free: with the items of
/// the plan, and which micro-batch, recomputation and pipeline would fit, each tried on paper: what a job
/// would be refused for is not advised. Of devices in host memory nothing is asked.
void check_memory_fits(TrainSetup& setup);

}  // namespace caravan::jobs
