#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace caravan {

/// Levels of x86-64 as its psABI names them, the widest first. A plugin that is built for several of them has
/// a file in a folder of that name beside the other plugins.
inline constexpr std::string_view kProcessorLevels[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2"};

/// Those that this process may run, the widest first: what the processor has, no wider than
/// CARAVAN_PROCESSOR says where that is set. PluginError when it names no level, or one that the processor
/// lacks.
std::vector<std::string_view> usable_processor_levels();

}  // namespace caravan
