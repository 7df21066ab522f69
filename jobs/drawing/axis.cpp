#include "jobs/drawing/axis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace caravan::jobs {
namespace {

constexpr int kMostTicks = 6;

}  // namespace

double tick_distance(double range, int most) {
  const double raw = range / most;
  if (!(raw > 0) || !std::isfinite(raw)) return 1;
  const double decade = std::pow(10, std::floor(std::log10(raw)));
  const double lead = raw / decade;
  return decade * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

Axis::Axis(Kind kind, const Limits& limits, double begin, double end)
    : kind_(kind), begin_(begin), end_(end) {
  kind == Kind::logarithmic ? place_logarithmic(limits) : place_linear(limits);
}

void Axis::place_linear(const Limits& limits) {
  const double range = limits.high - limits.low;
  const double margin = range > 0 ? 0 : std::max(std::abs(limits.low), 1.0) / 2;
  const double least = kind_ == Kind::whole ? 1 : 0;
  const double tick = std::max(least, tick_distance(range + 2 * margin, kMostTicks));
  const double first = std::floor((limits.low - margin) / tick),
               last = std::ceil((limits.high + margin) / tick);
  const double begin = limits.low >= 0 ? std::max(first, 0.0) : first;
  for (double i = begin; i <= last && ticks_.size() < 100; ++i) ticks_.push_back(i * tick);
  low_ = ticks_.front();
  high_ = ticks_.back();
}

void Axis::place_logarithmic(const Limits& limits) {
  const double first = std::floor(std::log10(limits.low)), last = std::ceil(std::log10(limits.high));
  const double end = std::max(last, first + 1);
  decades_ = std::ceil((end - first) / kMostTicks);
  ticks_.push_back(0);
  for (double i = first; i < end + decades_ && ticks_.size() < 100; i += decades_)
    ticks_.push_back(std::pow(10, i));
  low_ = ticks_.front();
  high_ = ticks_.back();
}

/// In marks: those of a logarithmic axis are equally far apart.
double Axis::scaled(double value) const {
  if (kind_ != Kind::logarithmic) return value;
  const double first = ticks_.at(1);
  return value < first ? value / first : 1 + std::log10(value / first) / decades_;
}

double Axis::at(double value) const {
  const double share = (scaled(value) - scaled(low_)) / (scaled(high_) - scaled(low_));
  return begin_ + share * (end_ - begin_);
}

std::string number_text(double value) {
  return fmt::format("{:.4g}", value == 0 ? 0.0 : value);
}

}  // namespace caravan::jobs
