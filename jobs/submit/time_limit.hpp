#pragma once

#include <cstdint>
#include <string>

namespace caravan::jobs {

/// Seconds of a time limit in Slurm's forms: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S. ConfigError names `where`.
std::int64_t parse_time_limit(const std::string& where, const std::string& text);

}  // namespace caravan::jobs
