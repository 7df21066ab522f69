#pragma once

#include "caravan/registry.hpp"

namespace caravan::jobs {

enum class ListStyle { text, json };

/// Prints every component on the search path; files that are refused go to standard error (text) or into
/// the object.
void print_plugins(Registry& registry, ListStyle style);

}  // namespace caravan::jobs
