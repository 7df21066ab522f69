#include "core/plan/where.hpp"

#include <fmt/format.h>

namespace caravan {

std::string place_text(const Plan& plan, int rank, std::size_t step) {
  return fmt::format("rank {}, step {} ({})", rank, step + 1,
                     to_string(plan.steps.at(static_cast<std::size_t>(rank)).at(step)));
}

std::string stuck_text(const Plan& plan, const std::vector<std::size_t>& next) {
  constexpr int kMost = 64;
  std::string text;
  int count = 0;
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    const std::size_t step = next[static_cast<std::size_t>(rank)];
    if (step == plan.steps[static_cast<std::size_t>(rank)].size()) continue;
    if (++count > kMost) continue;
    text += (text.empty() ? "" : "; ") + place_text(plan, rank, step);
  }
  if (count > kMost) text += fmt::format("; and {} more ranks", count - kMost);
  return text;
}

}  // namespace caravan
