#pragma once

#include <string>
#include <vector>

#include "caravan/device.hpp"
#include "caravan/mesh.hpp"
#include "caravan/parameter.hpp"

namespace caravan::jobs {

/// What a rank keeps from step to step. Ranks along dp_replicate keep the same fragments, those along rows
/// the same buffers, and divide storing them. Borrows device, store and mesh.
struct RankState {
  Device& device;
  ParameterStore& parameters;  ///< of this rank's stages
  const Mesh& mesh;
  std::vector<std::string> slots;     ///< of the optimizer
  std::vector<std::string> left_out;  ///< parameters that another pipeline rank stores
};

}  // namespace caravan::jobs
