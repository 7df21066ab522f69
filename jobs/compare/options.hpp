#pragma once

#include <optional>
#include <string>

#include "jobs/rank_degrees.hpp"

namespace caravan::jobs {

/// One of the two that are compared, and how it is run.
struct SideOptions {
  std::string path, device, precision;
};

struct CompareOptions {
  SideOptions a, b;
  std::string inputs;
  double tolerance = 1e-4;             ///< the largest difference of logits
  std::optional<double> tolerance_kl;  ///< the largest mean KL divergence; none: any
  RankDegrees degrees;                 ///< of both
};

}  // namespace caravan::jobs
