#pragma once

#include <string>

namespace caravan::jobs {

/// The whole of standard input as one prompt, line breaks and all. ConfigError when it is a terminal or
/// empty, IoError when it cannot be read or is longer than 64 MiB.
std::string prompt_of_standard_input();

}  // namespace caravan::jobs
