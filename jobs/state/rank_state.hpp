#pragma once

#include <string>
#include <vector>

#include "caravan/device.hpp"
#include "caravan/parameter.hpp"

namespace caravan::jobs {

/// What a rank keeps from step to step, and who keeps the same. Borrows device and store.
struct RankState {
  Device& device;
  ParameterStore& parameters;         ///< of this rank's stages
  std::vector<std::string> slots;     ///< of the optimizer
  std::vector<std::string> left_out;  ///< parameters that another pipeline rank stores
  int replica = 0, replicas = 1;      ///< ranks that keep the same elements divide storing them
};

}  // namespace caravan::jobs
