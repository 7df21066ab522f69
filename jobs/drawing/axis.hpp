#pragma once

#include <string>
#include <vector>

namespace caravan::jobs {

/// The distance of at most `most` ticks over `range`: 1, 2 or 5 times a power of ten; 1 when there is no
/// range.
double tick_distance(double range, int most);

/// Maps values to points of a picture, linearly or by their logarithm.
class Axis {
 public:
  /// whole: ticks at whole numbers. logarithmic: begins at zero all the same; `low` is the least value above
  /// it, and below the mark before `low` the axis is linear. positive: the same without zero, from a round
  /// value not above `low` on; `low` must be above zero.
  enum class Kind { linear, whole, logarithmic, positive };
  static constexpr int kMostTicks = 6;
  /// From `low` at point `begin` to `high` at point `end`; the limits are moved out to ticks, but never below
  /// zero where no value is.
  struct Limits {
    double low, high;
  };
  Axis(Kind kind, const Limits& limits, double begin, double end, int most_ticks = kMostTicks);

  double at(double value) const;
  /// Values that deserve a mark, ascending.
  const std::vector<double>& ticks() const noexcept { return ticks_; }
  double low() const noexcept { return low_; }
  double high() const noexcept { return high_; }

 private:
  void place_linear(const Limits& limits);
  void place_logarithmic(const Limits& limits);
  void place_positive(const Limits& limits);
  double scaled(double value) const;

  double decades_ = 1;  // between two marks

  Kind kind_;
  int most_ticks_;
  double begin_, end_, low_ = 0, high_ = 1;
  std::vector<double> ticks_;
};

/// "0.25", "1e-06": short, for a tick or a table.
std::string number_text(double value);
/// The same with the digits that neighbouring ticks may need: "125500".
std::string tick_text(double value);

}  // namespace caravan::jobs
