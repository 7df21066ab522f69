#include "jobs/submit/time_limit.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

#include "caravan/check.hpp"
#include "core/base/config_scalar.hpp"

namespace caravan::jobs {
namespace {

/// Digits alone, at most 999999; 05 is 5.
std::optional<std::int64_t> count(std::string_view digits) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  return whole && digits[0] != '-' && value <= 999999 ? std::optional(value) : std::nullopt;
}

std::optional<std::vector<std::int64_t>> counts(std::string_view text) {
  std::vector<std::int64_t> list;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(':', begin), text.size());
    const auto value = count(text.substr(begin, end - begin));
    if (!value) return std::nullopt;
    list.push_back(*value);
    begin = end + 1;
  }
  return list;
}

std::optional<std::int64_t> seconds_of(std::string_view text) {
  const std::size_t dash = text.find('-');
  const bool has_days = dash != std::string_view::npos;
  const auto days = has_days ? count(text.substr(0, dash)) : std::optional<std::int64_t>(0);
  const auto parts = counts(has_days ? text.substr(dash + 1) : text);
  if (!days || !parts || parts->size() > 3) return std::nullopt;
  // The unit of the first part: hours after days or where there are three, else minutes.
  constexpr std::array<std::int64_t, 3> kUnits{3600, 60, 1};
  std::size_t unit = has_days || parts->size() == 3 ? 0 : 1;
  std::int64_t seconds = *days * 86400;
  for (std::int64_t part : *parts) seconds += part * kUnits[unit++];
  return seconds;
}

}  // namespace

std::int64_t parse_time_limit(const std::string& where, const std::string& text) {
  const auto seconds = seconds_of(text);
  CARAVAN_CHECK(
      seconds && *seconds > 0, ConfigError,
      fmt::format("{}: {} is no time limit. Write minutes, HH:MM:SS or D-HH:MM:SS?", where, shown(text)));
  return *seconds;
}

}  // namespace caravan::jobs
