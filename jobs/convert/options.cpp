#include "jobs/convert/options.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <string_view>

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr std::array kUnits{Unit{"", 1},
                            Unit{"B", 1},
                            Unit{"KB", 1'000},
                            Unit{"MB", 1'000'000},
                            Unit{"GB", 1'000'000'000},
                            Unit{"TB", 1'000'000'000'000},
                            Unit{"KiB", std::uint64_t{1} << 10},
                            Unit{"MiB", std::uint64_t{1} << 20},
                            Unit{"GiB", std::uint64_t{1} << 30},
                            Unit{"TiB", std::uint64_t{1} << 40}};
constexpr std::uint64_t kMostOfAUnit = 1'000'000;

}  // namespace

std::uint64_t bytes_from(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  for (const Unit& each : kUnits) {
    const bool fits = each.bytes == 1 || number <= kMostOfAUnit;
    if (problem == std::errc() && each.name == unit && fits && number > 0) return number * each.bytes;
  }
  throw ConfigError(fmt::format("--shard-size={} (must be a size such as 5GB, 800MB or 2GiB)", text));
}

}  // namespace caravan::jobs
