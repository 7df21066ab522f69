#include "jobs/text_streams.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <iterator>

#include "caravan/check.hpp"
#include "jobs/asked_to_leave.hpp"

namespace caravan::jobs {
namespace {

/// Waits where the reader lags and standard output was made not to wait, by whoever shares it.
void wait_for_reader() {
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  ::poll(&output, 1, -1);
}

/// A reader that goes away has what it wanted: that is no failure of the output.
void check_reader() {
  if (errno == EPIPE)
    throw AskedToLeave(
        "nobody reads standard output any more (what it was piped into has ended). Into a file?");
}

/// False, with errno, where not all of it can be written.
bool write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written >= 0) bytes.remove_prefix(static_cast<std::size_t>(written));
    if (written >= 0 || errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
    wait_for_reader();
  }
  return true;
}

void expect_written(bool is_written) {
  if (!is_written) check_reader();
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
  expect_written(std::fflush(stdout) == 0 && write_all(text));
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

void OverwrittenOutput::show(std::string_view text, TextKind on_terminal) {
  const bool is_terminal = ::isatty(STDOUT_FILENO) != 0;
  std::string bytes = is_terminal ? "\033[H" : is_first_ ? "" : "\n";
  if (is_terminal && is_first_) bytes += "\033[2J";
  is_first_ = false;
  for (const char c : is_terminal ? printable(text, on_terminal) : std::string(text)) {
    if (is_terminal && c == '\n') bytes += "\033[K";  // what a longer line has left
    bytes += c;
  }
  if (is_terminal) bytes += "\033[J";
  expect_written(std::fflush(stdout) == 0 && write_all(bytes));
}

}  // namespace caravan::jobs
