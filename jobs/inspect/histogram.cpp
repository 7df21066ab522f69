#include "jobs/inspect/histogram.hpp"

#include <algorithm>
#include <cmath>

#include "jobs/inspect/statistics_view.hpp"
#include "jobs/inspect/value_stream.hpp"

namespace caravan::jobs {
namespace {

void count(std::span<const double> values, Histogram& histogram) {
  const auto bins = static_cast<double>(histogram.counts.size());
  // Halves keep the range of extreme values finite.
  const double half = histogram.high / 2 - histogram.low / 2;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    const double share = (value / 2 - histogram.low / 2) / half;
    const auto bin = static_cast<std::size_t>(std::clamp(share * bins, 0.0, bins - 1));
    ++histogram.counts[bin];
  }
}

}  // namespace

double Histogram::edge(std::size_t bin) const {
  const double share = static_cast<double>(bin) / static_cast<double>(counts.size());
  return low * (1 - share) + high * share;
}

std::uint64_t Histogram::most() const {
  return counts.empty() ? 0 : *std::max_element(counts.begin(), counts.end());
}

Histogram histogram_of(const TensorSource& source, const TensorEntry& tensor, int bins) {
  Histogram histogram;
  histogram.statistics = statistics_of(source, tensor);
  histogram.low = histogram.statistics.min;
  histogram.high = histogram.statistics.max;
  if (histogram.low == histogram.high) {
    const double room = std::max(std::abs(histogram.low), 1.0) / 2;
    histogram.low -= room;
    histogram.high += room;
  }
  histogram.counts.assign(static_cast<std::size_t>(bins), 0);
  ValueStream(source).for_each_value(
      tensor, whole_of(tensor),
      [&](std::span<const double> values, std::uint64_t) { count(values, histogram); });
  return histogram;
}

}  // namespace caravan::jobs
