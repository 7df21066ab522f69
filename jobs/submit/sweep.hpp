#pragma once

#include <string>
#include <vector>

namespace caravan::jobs {

/// The overrides of each task of an array: every combination of "key=value,value…" lists, the last list
/// fastest. Commas within brackets, braces and quotes belong to a value. ConfigError for a list without
/// values or above 1,000 tasks.
std::vector<std::vector<std::string>> expand_sweep(const std::vector<std::string>& lists);

}  // namespace caravan::jobs
