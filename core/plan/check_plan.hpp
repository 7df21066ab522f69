#pragma once

#include "core/plan/placement.hpp"

namespace caravan {

/// Proves that a compute plan is a training step of `microbatches`: every stage on one rank, no stage
/// missing, each stage with each micro-batch's F once, and B once or I and W once, after what it reads; and
/// that all ranks together come to the end. ConfigError names rank, position and action; for a deadlock the
/// action in which each rank is stuck. Time and memory linear in the actions.
Placement check(const Plan& plan, int microbatches);

/// Proves that a lowered plan (with sends and receives) comes to the end when every send blocks until its
/// receive is posted. ConfigError with the stuck action of each rank.
void check_communication(const Plan& plan);

}  // namespace caravan
