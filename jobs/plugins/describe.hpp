#pragma once

#include <string>

#include "caravan/registry.hpp"

namespace caravan::jobs {

enum class DescribeStyle { text, markdown, json };

/// Prints one component, given as KIND/NAME, with its parameters. ConfigError when it is not written so.
void print_component(Registry& registry, const std::string& kind_and_name, DescribeStyle style);

}  // namespace caravan::jobs
