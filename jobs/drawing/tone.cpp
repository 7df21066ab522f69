#include "jobs/drawing/tone.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace caravan::jobs {

std::string painted(std::string_view text, Tone tone, Ink ink) {
  static constexpr std::array<std::string_view, 6> kStart = {"",         "\033[1m",  "\033[2m",
                                                             "\033[36m", "\033[32m", "\033[31m"};
  if (ink == Ink::plain || tone == Tone::plain || text.empty()) return std::string(text);
  return std::string(kStart[static_cast<std::size_t>(tone)]) + std::string(text) + "\033[0m";
}

std::size_t display_width(std::string_view text) {
  const auto is_start = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), is_start));
}

std::string bar_text(double share, int columns) {
  static constexpr std::array<std::string_view, 8> kEighths = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const double wanted = std::clamp(share, 0.0, 1.0) * 8 * columns;
  // What is not nothing is seen.
  const long eighths = share > 0 ? std::max(1L, std::lround(wanted)) : 0;
  std::string bar;
  for (long i = 0; i < eighths / 8; ++i) bar += "█";
  return bar.append(kEighths[static_cast<std::size_t>(eighths % 8)]);
}

std::string spark_text(const std::vector<double>& values) {
  static constexpr std::array<std::string_view, 8> kLevels = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  if (values.empty()) return "";
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  std::string text;
  for (const double value : values) {
    const double share = *most > *least ? (value - *least) / (*most - *least) : 0.5;
    text += std::isfinite(share) ? kLevels[static_cast<std::size_t>(std::lround(share * 7))] : "?";
  }
  return text;
}

}  // namespace caravan::jobs
