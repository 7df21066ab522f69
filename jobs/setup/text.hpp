#pragma once

#include <cstdint>
#include <string>

// Numbers for people.
namespace caravan::jobs {

/// "15,017,216"
std::string with_commas(std::int64_t value);
/// "1.50 GiB"
std::string bytes_text(double bytes);

}  // namespace caravan::jobs
