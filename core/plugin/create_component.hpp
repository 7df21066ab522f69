#pragma once

#include <cstdint>

#include "caravan/registry.hpp"

namespace caravan {

/// Validates `config` against the component's parameters and creates it: a pointer to the kind's interface,
/// owned by the caller. ConfigError for parameters that cannot be right; else PluginError with the plugin's
/// text and exit code.
void* create_component(const Found& found, std::uint32_t kind_version, const Host& host,
                       const Config& config);

}  // namespace caravan
