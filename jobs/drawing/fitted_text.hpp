#pragma once

#include <string>
#include <string_view>

namespace caravan::jobs {

/// Points that UTF-8 text takes in DejaVu Sans of that size, the widest of the fonts that pictures name; at
/// least as many in the others.
double text_width(std::string_view text, double size);

/// The text, or its beginning and end around "…" where it takes more than `room` points: the end of a name or
/// path tells it apart from its neighbours.
std::string fitted(const std::string& text, double size, double room);

}  // namespace caravan::jobs
