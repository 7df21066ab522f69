#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace caravan::jobs {

/// Asked now and then by what may take long; throws where somebody wants to leave.
using LeaveWhenAsked = std::function<void()>;

/// What standard input is to hold; the words are for messages.
struct WantedText {
  std::string what;      ///< "prompt"
  std::string why;       ///< it is read at all: "neither --prompt nor --prompt-ids"
  std::string remedy;    ///< "Give --prompt TEXT"
  std::size_t most = 0;  ///< bytes
  LeaveWhenAsked leave_when_asked = [] {};
};

/// The whole of standard input, line breaks and all. ConfigError when it is a terminal or empty, IoError when
/// it cannot be read or is longer than wanted.
std::string text_of_standard_input(const WantedText& wanted);

/// The same of `file`, which is standard input where its name is "-". IoError where it is no regular file,
/// and what to do then.
std::string text_of_file(const std::string& file, const WantedText& wanted);

/// The same as one prompt of at most 64 MiB.
std::string prompt_of_standard_input(const LeaveWhenAsked& leave_when_asked);

}  // namespace caravan::jobs
