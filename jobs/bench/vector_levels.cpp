#include "jobs/bench/vector_levels.hpp"

#include <string_view>

#include "core/plugin/processor_level.hpp"

namespace caravan::jobs {
namespace {

/// Whether the host device has code for `level`; built for one processor ("native"), it has what that has.
bool built_for(std::string_view level) {
  constexpr std::string_view kBuilt = CARAVAN_BUILT_HOST_ARCHS;
  return kBuilt.find("x86-64-v") == std::string_view::npos || kBuilt.find(level) != std::string_view::npos;
}

}  // namespace

VectorLevel vector_level() {
  for (const std::string_view level : usable_processor_levels()) {
    if (!built_for(level)) continue;
    if (level == "x86-64-v4") return VectorLevel::avx512;
    if (level == "x86-64-v3") return VectorLevel::avx2;
  }
  return VectorLevel::sse;
}

}  // namespace caravan::jobs
