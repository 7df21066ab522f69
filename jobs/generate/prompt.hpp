#pragma once

#include <cstddef>
#include <string>

namespace caravan::jobs {

/// What standard input is to hold; the words are for messages.
struct WantedText {
  std::string what;      ///< "prompt"
  std::string why;       ///< it is read at all: "neither --prompt nor --prompt-ids"
  std::string remedy;    ///< "Give --prompt TEXT"
  std::size_t most = 0;  ///< bytes
};

/// The whole of standard input, line breaks and all. ConfigError when it is a terminal or empty, IoError when
/// it cannot be read or is longer than wanted.
std::string text_of_standard_input(const WantedText& wanted);

/// The same as one prompt of at most 64 MiB.
std::string prompt_of_standard_input();

}  // namespace caravan::jobs
