#include "jobs/drawing/tone.hpp"

#include <array>

namespace caravan::jobs {

std::string painted(std::string_view text, Tone tone, Ink ink) {
  static constexpr std::array<std::string_view, 6> kStart = {"",         "\033[1m",  "\033[2m",
                                                             "\033[36m", "\033[32m", "\033[31m"};
  if (ink == Ink::plain || tone == Tone::plain || text.empty()) return std::string(text);
  return std::string(kStart[static_cast<std::size_t>(tone)]) + std::string(text) + "\033[0m";
}

}  // namespace caravan::jobs
