#include "jobs/text_streams.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <iterator>

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

void expect_written(bool is_written) {
  CARAVAN_CHECK(is_written, IoError,
                fmt::format("cannot write to standard output ({})", std::strerror(errno)));
}

}  // namespace

void occupy_closed_streams() {
  for (int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0) continue;
    // The lowest free number is this stream's; opened the wrong way round, so that using it fails.
    static_cast<void>(::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY));
  }
}

std::string read_standard_input() {
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

void write_standard_output(std::string_view bytes, TextKind on_terminal) {
  const bool is_terminal = ::isatty(STDOUT_FILENO) != 0;
  const std::string shown = is_terminal ? printable(bytes, on_terminal) : "";
  const std::string_view text = is_terminal ? shown : bytes;
  expect_written(std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0);
}

void check_standard_output() {
  errno = EIO;  // of a write that somebody else made earlier, the cause is no longer known
  expect_written(std::fflush(stdout) == 0 && std::ferror(stdout) == 0);
}

ProgressLine::~ProgressLine() {
  if (is_shown_) std::fputs("\r\033[K", stderr);
}

void ProgressLine::show(std::string_view text) {
  if (!on_terminal_) return;
  is_shown_ = true;
  std::fprintf(stderr, "\r\033[K%s", printable(text).c_str());
  std::fflush(stderr);
}

}  // namespace caravan::jobs
