#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "core/plan/placement.hpp"
#include "jobs/drawing/colour.hpp"

namespace caravan::jobs {

/// What is told apart by colour.
enum class Paint : std::int8_t {
  forward,
  backward_input,
  backward_weight,
  backward,
  recompute,
  overlap,
  other,  ///< messages, gathered weights, reduction: where they take time
};
inline constexpr int kNumPaints = 7;

Paint paint_of(ActionKind kind);
/// For a legend: "I: gradient of the input".
const char* description_of(Paint paint);

/// `shade` 0: as it is, 1: half way to white. Told apart by the common kinds of colour blindness through
/// lightness too.
Colour colour_of(Paint paint, double shade);
/// Escape sequence for one of the 256 colours of a terminal, with an ink that is read well on it.
std::string terminal_colour_of(Paint paint, double shade);

/// Stages of a rank are told apart by shade: 0 for the first, 1 for the last of several.
class Shades {
 public:
  explicit Shades(const Plan& plan);
  double of(int stage) const { return shades_[static_cast<std::size_t>(stage)]; }

 private:
  std::vector<double> shades_;
};

}  // namespace caravan::jobs
