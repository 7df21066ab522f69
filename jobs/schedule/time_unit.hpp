#pragma once

#include <string>

namespace caravan::jobs {

/// What a timeline is written in.
struct TimeUnit {
  std::string name;  ///< "ms", "units of cost"
  double count = 1;  ///< of them in one unit of the timeline
};

/// The unit in which a span of a timeline that counts in `unit` is read well: s, ms or µs for seconds, and
/// any other unit as it is.
TimeUnit readable_unit(const std::string& unit, double span);

}  // namespace caravan::jobs
