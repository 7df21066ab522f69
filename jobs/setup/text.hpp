#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// Numbers for people.
namespace caravan::jobs {

/// "15,017,216"
std::string with_commas(std::int64_t value);
/// "1 file", "2000 files"
std::string counted(std::int64_t count, std::string_view noun);
/// For what does not end in an s alone: "2 micro-batches".
std::string counted(std::int64_t count, std::string_view noun, std::string_view many);
/// "1.50 GiB"
std::string bytes_text(double bytes);

}  // namespace caravan::jobs
