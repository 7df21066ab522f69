#pragma once

#include <algorithm>
#include <vector>

namespace caravan::jobs {

/// Of at least one value; of an even number the upper one.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace caravan::jobs
