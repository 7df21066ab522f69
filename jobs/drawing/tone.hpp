#pragma once

#include <string>
#include <string_view>

#include "jobs/drawing/terminal.hpp"

namespace caravan::jobs {

/// What a piece of text is to its neighbours.
enum class Tone { plain, strong, faint, accent, good, bad };

/// The text with the escape sequences of its tone, or as it is where ink is plain.
std::string painted(std::string_view text, Tone tone, Ink ink);

}  // namespace caravan::jobs
