#include "jobs/generate/prompt.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "caravan/check.hpp"

namespace caravan::jobs {

std::string prompt_of_standard_input() {
  constexpr std::size_t kMostBytes = std::size_t{64} << 20;
  CARAVAN_CHECK(
      ::isatty(STDIN_FILENO) == 0, ConfigError,
      "no prompt (neither --prompt nor --prompt-ids, and standard input is a terminal). Give --prompt TEXT, "
      "or pipe a text into it?");
  std::string text;
  std::array<char, 65536> piece;
  for (;;) {
    const auto got = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    CARAVAN_CHECK(got >= 0, IoError, fmt::format("cannot read standard input ({})", std::strerror(errno)));
    if (got == 0) break;
    text.append(piece.data(), static_cast<std::size_t>(got));
    CARAVAN_CHECK(text.size() <= kMostBytes, IoError,
                  fmt::format("standard input has more than {} bytes (no prompt has). Is it the right file?",
                              kMostBytes));
  }
  CARAVAN_CHECK(!text.empty(), ConfigError,
                "the prompt is empty (standard input holds nothing). Give --prompt TEXT, or --prompt-ids?");
  return text;
}

}  // namespace caravan::jobs
