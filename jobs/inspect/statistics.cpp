#include "jobs/inspect/statistics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace caravan::jobs {
namespace {

constexpr std::size_t kLanes = 8;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

using Lanes = std::array<double, kLanes>;

double total(const Lanes& lanes) {
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

double squares_around(std::span<const double> values, double centre) {
  Lanes sum{};
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double off = values[i + lane] - centre;
      sum[lane] += off * off;
    }
  }
  for (; i < values.size(); ++i) sum[0] += (values[i] - centre) * (values[i] - centre);
  return total(sum);
}

}  // namespace

double Statistics::norm() const {
  return std::sqrt(squares);
}
double Statistics::rms() const {
  return finite > 0 ? std::sqrt(squares / static_cast<double>(finite)) : 0;
}
double Statistics::deviation() const {
  return finite > 0 ? std::sqrt(around_mean / static_cast<double>(finite)) : 0;
}
double Statistics::absmax() const {
  return std::max(std::abs(min), std::abs(max));
}

StatisticsSum::FirstPass StatisticsSum::first_pass(std::span<const double> values) {
  Lanes sum{}, min, max, zeros{}, poison{};
  min.fill(kInfinity);
  max.fill(-kInfinity);
  const auto see = [&](std::size_t lane, double value) {
    sum[lane] += value;
    min[lane] = std::min(min[lane], value);
    max[lane] = std::max(max[lane], value);
    zeros[lane] += value == 0 ? 1.0 : 0.0;
    poison[lane] += value - value;
  };
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) see(lane, values[i + lane]);
  }
  for (; i < values.size(); ++i) see(0, values[i]);
  return {total(sum), *std::min_element(min.begin(), min.end()), *std::max_element(max.begin(), max.end()),
          total(zeros), total(poison)};
}

void StatisticsSum::add(std::span<const double> values, std::uint64_t first) {
  sum_.count += values.size();
  if (values.empty()) return;
  const FirstPass piece = first_pass(values);
  if (piece.poison == 0) return add_finite(values, piece);
  sort_out(values, first);
  if (!finite_.empty()) add_finite(finite_, first_pass(finite_));
}

void StatisticsSum::add_finite(std::span<const double> values, const FirstPass& piece) {
  const auto before = static_cast<double>(sum_.finite), count = static_cast<double>(values.size());
  const double mean = piece.sum / count, shift = mean - sum_.mean;
  const double around = squares_around(values, mean);
  sum_.min = sum_.finite == 0 ? piece.min : std::min(sum_.min, piece.min);
  sum_.max = sum_.finite == 0 ? piece.max : std::max(sum_.max, piece.max);
  sum_.zeros += static_cast<std::uint64_t>(piece.zeros);
  sum_.squares += around + count * mean * mean;
  sum_.around_mean += around + shift * shift * before * count / (before + count);
  sum_.mean += shift * count / (before + count);
  sum_.finite += values.size();
}

void StatisticsSum::sort_out(std::span<const double> values, std::uint64_t first) {
  finite_.clear();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) {
      finite_.push_back(values[i]);
      continue;
    }
    std::isnan(values[i]) ? ++sum_.nans : ++sum_.infinities;
    if (!sum_.first_not_finite) sum_.first_not_finite = first + i;
  }
}

}  // namespace caravan::jobs
