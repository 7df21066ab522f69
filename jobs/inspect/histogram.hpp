#pragma once

#include <cstdint>
#include <vector>

#include "jobs/inspect/statistics.hpp"
#include "jobs/inspect/tensor_source.hpp"

namespace caravan::jobs {

/// Elements by value, in equal bins from the smallest to the largest finite one.
struct Histogram {
  Statistics statistics;
  double low = 0, high = 0;  ///< around a single value there is room on both sides
  std::vector<std::uint64_t> counts;

  double edge(std::size_t bin) const;
  std::uint64_t most() const;
};

/// Reads the tensor twice: once for the range.
Histogram histogram_of(const TensorSource& source, const TensorEntry& tensor, int bins);

}  // namespace caravan::jobs
