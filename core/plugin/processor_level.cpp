#include "core/plugin/processor_level.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "caravan/check.hpp"
#include "caravan/error.hpp"
#include "caravan/printable.hpp"

namespace caravan {
namespace {

/// The instructions of https://gitlab.com/x86-psABIs/x86-64-ABI (x86-64.pdf, table 3.1) that compilers use
/// for loops; processors that have these have the rest of their level.
bool processor_has(std::string_view level) {
#if defined(__x86_64__)
  if (level == "x86-64-v4")
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && processor_has("x86-64-v3");
  if (level == "x86-64-v3")
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && processor_has("x86-64-v2");
  return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
#else
  return level.empty();
#endif
}

/// Where the levels begin that CARAVAN_PROCESSOR allows.
const std::string_view* first_allowed() {
  const char* wanted = ::secure_getenv("CARAVAN_PROCESSOR");
  if (!wanted || *wanted == '\0') return std::begin(kProcessorLevels);
  const auto* found = std::find(std::begin(kProcessorLevels), std::end(kProcessorLevels), wanted);
  CARAVAN_CHECK(found != std::end(kProcessorLevels), PluginError,
                fmt::format("CARAVAN_PROCESSOR={} (no level of a processor). Known: {}.", printable(wanted),
                            fmt::join(kProcessorLevels, ", ")));
  CARAVAN_CHECK(processor_has(*found), PluginError,
                fmt::format("CARAVAN_PROCESSOR={} (this processor lacks it). Leave it unset?", wanted));
  return found;
}

}  // namespace

std::vector<std::string_view> usable_processor_levels() {
  std::vector<std::string_view> levels;
  std::copy_if(first_allowed(), std::end(kProcessorLevels), std::back_inserter(levels), processor_has);
  return levels;
}

}  // namespace caravan
