#pragma once

#include <string>

#include "caravan/registry.hpp"

namespace caravan::jobs {

enum class DescribeStyle { text, markdown, json };

struct ComponentName {
  std::string kind, name;
};
/// Of KIND/NAME, as in schedule/1f1b. ConfigError when it is not written so.
ComponentName component_of(const std::string& kind_and_name);

/// Prints one component, given as KIND/NAME, with its parameters. ConfigError when it is not written so.
void print_component(Registry& registry, const std::string& kind_and_name, DescribeStyle style);

}  // namespace caravan::jobs
