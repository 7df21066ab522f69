#include "jobs/forward/cross_entropy.hpp"

#include <algorithm>
#include <cmath>

#include "caravan/ops.hpp"

namespace caravan::jobs {

double log_sum_exp(std::span<const float> row) {
  const double highest = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const float logit : row) sum += std::exp(double{logit} - highest);
  return highest + std::log(sum);
}

double mean_cross_entropy(std::span<const float> logits, std::span<const std::int32_t> labels,
                          std::int64_t vocab) {
  const auto width = static_cast<std::size_t>(vocab);
  double sum = 0;
  std::int64_t counted = 0;
  for (std::size_t at = 0; at < labels.size(); ++at) {
    if (labels[at] == kIgnoredLabel) continue;
    const std::span<const float> row = logits.subspan(at * width, width);
    sum += log_sum_exp(row) - double{row[static_cast<std::size_t>(labels[at])]};
    ++counted;
  }
  return sum / static_cast<double>(std::max<std::int64_t>(counted, 1));
}

}  // namespace caravan::jobs
