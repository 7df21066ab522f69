#pragma once

#include <cstddef>

#include "jobs/plot/picture.hpp"

namespace caravan::jobs {

/// What stands in the way of a curve.
struct LeftOut {
  std::size_t not_finite = 0, not_positive = 0;
};

/// The values of one curve between two steps, both included, smoothed. Gaps where they were not finite or, on
/// a logarithmic axis, not above zero; these are counted.
Points points_of(const RunRecords& run, Curve curve, const PictureOptions& options, LeftOut& left_out);

/// Each value becomes the mean of those within a window of so many steps, half of it on each side. Gaps stay
/// and count for nothing.
Points smoothed(const Points& points, std::int64_t steps);

/// At most four points for each of `count` equal parts of the range of steps: the first, the last, the lowest
/// and the highest. Drawn that small, it looks the same.
Points thinned(const Points& points, std::size_t count);

}  // namespace caravan::jobs
