#pragma once

#include <cstdint>

namespace caravan {

/// Warm-up, stable, decay. Source: torchtitan's schedule; step is 1-based.
struct LrSchedule {
  enum class Decay { linear, sqrt, cosine };
  double lr = 0;
  std::int64_t total_steps = 1;
  std::int64_t warmup_steps = 0;
  double decay_ratio = -1;  ///< share of total_steps that decays; negative: all after the warm-up
  Decay decay = Decay::linear;
  double min_factor = 0;  ///< of lr, where the decay ends

  double at(std::int64_t step) const;
};

}  // namespace caravan
