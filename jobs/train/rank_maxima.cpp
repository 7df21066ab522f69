#include "jobs/train/rank_maxima.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "jobs/setup/machine.hpp"

namespace caravan::jobs {
namespace {

/// Of the layers on this rank, the worst.
double imbalance_of(const TrainStep& step) {
  double worst = 0;
  for (const std::vector<float>& counts : step.expert_counts()) {
    const double all = std::accumulate(counts.begin(), counts.end(), 0.0);
    const double most = counts.empty() ? 0 : *std::max_element(counts.begin(), counts.end());
    if (all > 0) worst = std::max(worst, most * static_cast<double>(counts.size()) / all);
  }
  return worst;
}

}  // namespace

/// Bytes are exact in a double up to 8 PiB.
RankMaxima maxima_over_ranks(TrainSetup& setup, const TrainStep& step) {
  const auto host = static_cast<double>(process_memory().peak);
  // Of a device with memory of its own all that is taken, which only grows while a job runs.
  const auto use = setup.device().memory_use();
  std::array<double, 3> values{use ? static_cast<double>(use->total - use->free) : host, host,
                               imbalance_of(step)};
  setup.world().all_reduce(TensorView(values.data(), DType::f64, {std::ssize(values)}), ReduceOp::max);
  return {static_cast<std::int64_t>(values[0]), static_cast<std::int64_t>(values[1]), values[2]};
}

}  // namespace caravan::jobs
