#include "jobs/generate/prompt.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "caravan/check.hpp"
#include "io/files/file.hpp"

namespace caravan::jobs {
namespace {

constexpr int kMillisecondsBetweenLooks = 100;

/// Whoever writes into the pipe may take long, and a read that a signal interrupts begins again.
void wait_for_input(const LeaveWhenAsked& leave_when_asked) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  int ready = 0;
  while (ready == 0 || (ready < 0 && errno == EINTR)) {
    leave_when_asked();
    ready = ::poll(&input, 1, kMillisecondsBetweenLooks);
  }
}

/// A pipe can be read once, from where it is now: standard input is made for that.
void check_regular(const std::string& file) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::file_type type = fs::status(file, ignored).type();
  const bool streams = type == fs::file_type::fifo || type == fs::file_type::character;
  CARAVAN_CHECK(!streams, IoError,
                fmt::format("{} is {} (only regular files are opened by name). `-` reads standard input, "
                            "as in: - < {}?",
                            file, type == fs::file_type::fifo ? "a FIFO" : "a character device", file));
}

}  // namespace

std::string text_of_standard_input(const WantedText& wanted) {
  CARAVAN_CHECK(::isatty(STDIN_FILENO) == 0, ConfigError,
                fmt::format("no {} ({}, and standard input is a terminal). {}, or pipe one into it?",
                            wanted.what, wanted.why, wanted.remedy));
  std::string text;
  std::array<char, 65536> piece;
  for (;;) {
    wait_for_input(wanted.leave_when_asked);
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

std::string text_of_file(const std::string& file, const WantedText& wanted) {
  if (file == "-") return text_of_standard_input(wanted);
  check_regular(file);
  return io::read_text(file, wanted.most);
}

std::string prompt_of_standard_input(const LeaveWhenAsked& leave_when_asked) {
  return text_of_standard_input({"prompt", "neither --prompt nor --prompt-ids",
                                 "Give --prompt TEXT, or --prompt-ids \"1 2 3\"", std::size_t{64} << 20,
                                 leave_when_asked});
}

}  // namespace caravan::jobs
