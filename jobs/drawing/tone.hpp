#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/drawing/terminal.hpp"

namespace caravan::jobs {

/// What a piece of text is to its neighbours.
enum class Tone { plain, strong, faint, accent, good, bad };

/// The text with the escape sequences of its tone, or as it is where ink is plain.
std::string painted(std::string_view text, Tone tone, Ink ink);

/// Columns that UTF-8 text takes, if every character takes one.
std::size_t display_width(std::string_view text);

/// A bar of `share` (0 to 1) of `columns`, in eighths of a column.
std::string bar_text(double share, int columns);

/// One character a value, from the lowest of them to the highest.
std::string spark_text(const std::vector<double>& values);

}  // namespace caravan::jobs
