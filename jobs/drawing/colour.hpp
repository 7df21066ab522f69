#pragma once

#include <string>

namespace caravan::jobs {

struct Colour {
  int red, green, blue;
};

/// "#4e79a7"
std::string hex(const Colour& colour);
/// Black or white, whichever is read better on it.
const char* ink_on(const Colour& colour);
/// `share` 0: as it is, 1: white.
Colour lighter(const Colour& colour, double share);
/// For series of a chart: told apart by the common kinds of colour blindness through lightness too. Repeats
/// after eight. Source: Tableau 10, as used by the schedules.
Colour series_colour(std::size_t index);

}  // namespace caravan::jobs
