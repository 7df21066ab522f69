#include "jobs/drawing/colour.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace caravan::jobs {
namespace {

int mixed_with_white(int value, double share) {
  return static_cast<int>(std::lround(value + (255 - value) * share));
}

}  // namespace

std::string hex(const Colour& colour) {
  return fmt::format("#{:02x}{:02x}{:02x}", colour.red, colour.green, colour.blue);
}

const char* ink_on(const Colour& colour) {
  const double lightness = 0.299 * colour.red + 0.587 * colour.green + 0.114 * colour.blue;
  return lightness > 140 ? "#111" : "#fff";
}

Colour lighter(const Colour& colour, double share) {
  return {mixed_with_white(colour.red, share), mixed_with_white(colour.green, share),
          mixed_with_white(colour.blue, share)};
}

Colour series_colour(std::size_t index) {
  static constexpr std::array<Colour, 8> kSeries = {{{54, 107, 168},
                                                     {232, 144, 42},
                                                     {66, 145, 80},
                                                     {196, 66, 62},
                                                     {125, 82, 160},
                                                     {90, 165, 165},
                                                     {120, 113, 108},
                                                     {214, 120, 170}}};
  return kSeries[index % kSeries.size()];
}

}  // namespace caravan::jobs
