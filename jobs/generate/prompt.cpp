#include "jobs/generate/prompt.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "caravan/check.hpp"

namespace caravan::jobs {

std::string text_of_standard_input(const WantedText& wanted) {
  CARAVAN_CHECK(::isatty(STDIN_FILENO) == 0, ConfigError,
                fmt::format("no {} ({}, and standard input is a terminal). {}, or pipe one into it?",
                            wanted.what, wanted.why, wanted.remedy));
  std::string text;
  std::array<char, 65536> piece;
  for (;;) {
    const auto got = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    CARAVAN_CHECK(got >= 0, IoError, fmt::format("cannot read standard input ({})", std::strerror(errno)));
    if (got == 0) break;
    text.append(piece.data(), static_cast<std::size_t>(got));
    CARAVAN_CHECK(text.size() <= wanted.most, IoError,
                  fmt::format("standard input has more than {} bytes (no {} has). Is it the right file?",
                              wanted.most, wanted.what));
  }
  CARAVAN_CHECK(
      !text.empty(), ConfigError,
      fmt::format("the {} is empty (standard input holds nothing). {}?", wanted.what, wanted.remedy));
  return text;
}

std::string prompt_of_standard_input() {
  return text_of_standard_input({"prompt", "neither --prompt nor --prompt-ids",
                                 "Give --prompt TEXT, or --prompt-ids \"1 2 3\"", std::size_t{64} << 20});
}

}  // namespace caravan::jobs
