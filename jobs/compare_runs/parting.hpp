#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "jobs/plot/run_records.hpp"

namespace caravan::jobs {

/// Steps that are looked at.
struct StepRange {
  std::int64_t from = 0, to = std::numeric_limits<std::int64_t>::max();
  bool has(std::int64_t step) const { return from <= step && step <= to; }
};

/// How far one curve of two runs is apart, over the steps at which both recorded it.
struct Parting {
  struct At {
    std::int64_t step = 0;
    double a = 0, b = 0;
    /// |a - b| by the larger of both; infinite where one is not finite.
    double difference() const;
  };

  Curve curve;
  std::int64_t steps = 0;   ///< compared
  std::int64_t beyond = 0;  ///< of them, with a larger difference than the tolerance
  std::optional<At> first;  ///< of these
  std::optional<At> largest, last;
};

Parting parting_of(const RunRecords& a, const RunRecords& b, Curve curve, StepRange range, double tolerance);

/// The middle of what a run recorded; nothing where it recorded none that is finite.
std::optional<double> median_of(const RunRecords& run, Curve curve, StepRange range);

}  // namespace caravan::jobs
