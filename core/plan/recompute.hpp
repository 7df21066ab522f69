#pragma once

#include <string>
#include <vector>

namespace caravan {

/// What the backward of one layer does again of its forward instead of finding it kept.
struct LayerRecompute {
  bool repeats = false;     ///< its forward runs again before its backward
  bool keeps_input = true;  ///< false: the forward of the layer before it, which repeats too, makes it
  std::vector<std::string>
      keeps;  ///< sections of forward (StashPlan::Declaration::section) that are kept and left out
};

/// One for each layer of a stage, or empty: nothing is done again. Layers are repeated in groups that begin
/// with a kept input.
using RecomputePlan = std::vector<LayerRecompute>;

}  // namespace caravan
