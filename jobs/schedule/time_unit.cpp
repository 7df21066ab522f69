#include "jobs/schedule/time_unit.hpp"

namespace caravan::jobs {

TimeUnit readable_unit(const std::string& unit, double span) {
  if (unit != "s" || span >= 1) return {unit, 1};
  return span >= 1e-3 ? TimeUnit{"ms", 1e3} : TimeUnit{"µs", 1e6};
}

}  // namespace caravan::jobs
