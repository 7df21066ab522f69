#pragma once

#include "jobs/plan/train_setup.hpp"

namespace caravan::jobs {

/// [every rank] DeviceError where the memory plan of this rank is larger than what its device has free, or
/// those of all ranks of this machine than its memory where the device computes there: with the items of the
/// plan, the keys that it grows with, and which micro-batch, recomputation, shards and pipeline would fit,
/// each tried on paper: what a job would be refused for is not advised. A warning where the machine has less
/// available now.
void check_memory_fits(TrainSetup& setup);

}  // namespace caravan::jobs
