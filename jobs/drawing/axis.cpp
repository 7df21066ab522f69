#include "jobs/drawing/axis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace caravan::jobs {
namespace {

/// 1, 2 and 5 times powers of ten are named by whole numbers, ascending: 0 is 1, 1 is 2, 2 is 5, 3 is 10.
double round_value(int index) {
  constexpr double kLeads[] = {1, 2, 5};
  const int decade = index >= 0 ? index / 3 : -((2 - index) / 3);
  return kLeads[index - 3 * decade] * std::pow(10, decade);
}

/// The last round value that is not above `value`.
int index_below(double value) {
  int index = 3 * static_cast<int>(std::floor(std::log10(value)));
  while (round_value(index + 1) <= value) ++index;
  return index;
}

}  // namespace

double tick_distance(double range, int most) {
  const double raw = range / most;
  if (!(raw > 0) || !std::isfinite(raw)) return 1;
  const double decade = std::pow(10, std::floor(std::log10(raw)));
  const double lead = raw / decade;
  return decade * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

Axis::Axis(Kind kind, const Limits& limits, double begin, double end, int most_ticks)
    : kind_(kind), most_ticks_(most_ticks), begin_(begin), end_(end) {
  if (kind == Kind::logarithmic)
    place_logarithmic(limits);
  else if (kind == Kind::positive && limits.high > 2 * limits.low)
    place_positive(limits);
  else
    place_linear(limits);
}

void Axis::place_linear(const Limits& limits) {
  const double range = limits.high - limits.low;
  const double least_margin = kind_ == Kind::positive ? limits.low / 2 : 0.5;
  const double margin = range > 0 ? 0 : std::max(std::abs(limits.low) / 2, least_margin);
  const double least = kind_ == Kind::whole ? 1 : 0;
  const double tick = std::max(least, tick_distance(range + 2 * margin, most_ticks_));
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
  decades_ = std::ceil((end - first) / most_ticks_);
  ticks_.push_back(0);
  for (double i = first; i < end + decades_ && ticks_.size() < 100; i += decades_)
    ticks_.push_back(std::pow(10, i));
  low_ = ticks_.front();
  high_ = ticks_.back();
}

void Axis::place_positive(const Limits& limits) {
  const int first = index_below(limits.low);
  int last = first;
  while (round_value(last) < limits.high) ++last;
  // Of more than there is room for only some, among them both ends; whole decades where many are left out.
  int distance = (last - first + most_ticks_ - 1) / most_ticks_;
  if (distance > 1) distance = (distance + 2) / 3 * 3;
  const int begin = distance == 1 ? first : first - (first % 3 + 3) % 3;
  for (int index = begin; index < last + distance; index += distance) ticks_.push_back(round_value(index));
  low_ = ticks_.front();
  high_ = ticks_.back();
}

/// In marks: those of a logarithmic axis are equally far apart.
double Axis::scaled(double value) const {
  if (kind_ == Kind::positive) return std::log10(value);
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

std::string tick_text(double value) {
  return fmt::format("{:.6g}", value == 0 ? 0.0 : value);
}

}  // namespace caravan::jobs
