#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jobs/identity/differences.hpp"

namespace caravan::jobs {

/// What differs between the resolved jobs beside the records of two runs, except for their names and output
/// folders; nothing where one of them has none. IoError and ConfigError for a job that cannot be read.
std::optional<std::vector<Difference>> differences_of_jobs(const std::string& a, const std::string& b);

}  // namespace caravan::jobs
