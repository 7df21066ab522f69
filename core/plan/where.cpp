#include "core/plan/where.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"

namespace caravan {

std::string place_text(const Plan& plan, int rank, std::size_t step) {
  return fmt::format("rank {}, step {} ({})", rank, step + 1,
                     to_string(plan.steps.at(static_cast<std::size_t>(rank)).at(step)));
}

void check_ended(const Plan& plan, const std::vector<std::size_t>& next, const char* why) {
  constexpr int kMost = 64;
  std::string stuck;
  int count = 0;
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    const std::size_t step = next[static_cast<std::size_t>(rank)];
    if (step == plan.steps[static_cast<std::size_t>(rank)].size()) continue;
    if (++count <= kMost) stuck += (stuck.empty() ? "" : "; ") + place_text(plan, rank, step);
  }
  if (count > kMost) stuck += fmt::format("; and {} more ranks", count - kMost);
  CARAVAN_CHECK(count == 0, ConfigError, fmt::format("deadlock: {}. Stuck: {}", why, stuck));
}

}  // namespace caravan
