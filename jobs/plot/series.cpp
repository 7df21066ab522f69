#include "jobs/plot/series.hpp"

#include <algorithm>
#include <cmath>

namespace caravan::jobs {
namespace {

/// No number that a run computes in fp32 lies beyond; sums and round ticks beyond these stay finite.
constexpr double kLargest = 1e100, kLeastPositive = 1e-100;

/// Lowest, highest and ends of a part of a curve, by their places.
class Part {
 public:
  explicit Part(const Points& points) : points_(points) {}

  void add(std::size_t at) {
    if (is_empty_) first_ = low_ = high_ = at;
    is_empty_ = false;
    last_ = at;
    if (points_[at].second < points_[low_].second) low_ = at;
    if (points_[at].second > points_[high_].second) high_ = at;
  }
  void move_to(Points& kept) {
    std::vector<std::size_t> places{first_, low_, high_, last_};
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    for (const std::size_t at : places) {
      if (!is_empty_) kept.push_back(points_[at]);
    }
    is_empty_ = true;
  }

 private:
  const Points& points_;
  std::size_t first_ = 0, low_ = 0, high_ = 0, last_ = 0;
  bool is_empty_ = true;
};

}  // namespace

Points points_of(const RunRecords& run, Curve curve, const PictureOptions& options, LeftOut& left_out) {
  Points points;
  for (const StepValues& values : run.steps()) {
    double value = values.at(curve);
    if (std::isnan(value) || values.step < options.from || values.step > options.to) continue;
    const bool is_finite = std::abs(value) <= kLargest;
    const bool is_below = is_finite && options.is_logarithmic && value < kLeastPositive;
    left_out.not_finite += is_finite ? 0 : 1;
    left_out.not_positive += is_below ? 1 : 0;
    points.emplace_back(values.step, is_finite && !is_below ? value : StepValues::kNotFinite);
  }
  return smoothed(points, options.smooth);
}

Points smoothed(const Points& points, std::int64_t steps) {
  Points result = points;
  const double reach = static_cast<double>(steps) / 2;
  std::size_t begin = 0, end = 0;
  for (std::size_t at = 0; at < points.size() && steps > 1; ++at) {
    const double step = points[at].first;
    while (points[begin].first < step - reach) ++begin;
    while (end < points.size() && points[end].first < step + reach) ++end;
    double sum = 0, count = 0;
    // Summed anew for each, because a single huge value would leave its rounding in a running sum.
    for (std::size_t i = begin; i < end; ++i) {
      if (!std::isfinite(points[i].second)) continue;
      sum += points[i].second;
      ++count;
    }
    if (std::isfinite(points[at].second)) result[at].second = sum / count;
  }
  return result;
}

Points thinned(const Points& points, std::size_t count) {
  if (points.size() <= 4 * count) return points;
  const double begin = points.front().first, range = points.back().first - begin;
  Points kept;
  Part part(points);
  std::size_t current = 0;
  for (std::size_t at = 0; at < points.size(); ++at) {
    const auto bucket =
        static_cast<std::size_t>((points[at].first - begin) / range * static_cast<double>(count));
    const bool is_gap = !std::isfinite(points[at].second);
    if (bucket != current || is_gap) part.move_to(kept);
    current = bucket;
    if (!is_gap)
      part.add(at);
    else if (kept.empty() || std::isfinite(kept.back().second))
      kept.push_back(points[at]);  // gaps beside each other are one
  }
  part.move_to(kept);
  return kept;
}

}  // namespace caravan::jobs
