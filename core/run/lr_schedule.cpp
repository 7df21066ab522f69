#include "core/run/lr_schedule.hpp"

#include <algorithm>
#include <cmath>

namespace caravan {
namespace {

double shape(LrSchedule::Decay decay, double progress) {
  switch (decay) {
    case LrSchedule::Decay::linear:
      return 1 - progress;
    case LrSchedule::Decay::sqrt:
      return 1 - std::sqrt(progress);
    case LrSchedule::Decay::cosine:
      return 0.5 * (1 + std::cos(M_PI * progress));
  }
  return 1;
}

}  // namespace

double LrSchedule::at(std::int64_t step) const {
  const std::int64_t after_warmup = std::max<std::int64_t>(total_steps - warmup_steps, 0);
  const auto wanted = static_cast<std::int64_t>(std::llround(static_cast<double>(total_steps) * decay_ratio));
  const std::int64_t decaying = decay_ratio < 0 ? after_warmup : std::min(wanted, after_warmup);
  const std::int64_t stable = total_steps + 1 - warmup_steps - decaying, index = step - 1;
  if (index < warmup_steps) return lr * static_cast<double>(index + 1) / static_cast<double>(warmup_steps);
  if (index < warmup_steps + stable) return lr;
  const double progress = static_cast<double>(index + 1 - warmup_steps - stable) /
                          static_cast<double>(std::max<std::int64_t>(decaying, 1));
  return lr * (min_factor + (1 - min_factor) * shape(decay, std::min(progress, 1.0)));
}

}  // namespace caravan
