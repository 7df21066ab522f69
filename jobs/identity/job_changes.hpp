#pragma once

#include <string>
#include <vector>

#include "jobs/identity/differences.hpp"

namespace caravan::jobs {

/// What differs between the job that a checkpoint carries and the one that goes on from it.
struct JobChanges {
  std::vector<Difference> refused;  ///< changes the function or the order of samples
  std::vector<Difference> allowed;  ///< would be refused, but the job names it
  std::vector<Difference> said;     ///< may change
};

/// `allowed`: globs over keys (checkpoint.allow_changes).
JobChanges sort_changes(const Config& before, const Config& now, const std::vector<std::string>& allowed);

/// Whether one of the globs fits the key.
bool is_allowed(const std::vector<std::string>& allowed, const std::string& key);

/// ConfigError for a glob that fits no key of the resolved job, nor one of those that stand beside it.
void check_allowed(const std::vector<std::string>& allowed, const Config& resolved);

}  // namespace caravan::jobs
