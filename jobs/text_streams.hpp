#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>

#include "caravan/check.hpp"

namespace caravan::jobs {

inline std::string read_standard_input() {
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

/// IoError when the reader has gone or the disk is full, so that cut output never looks complete.
inline void write_standard_output(std::string_view bytes) {
  const bool is_written =
      std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() && std::fflush(stdout) == 0;
  CARAVAN_CHECK(is_written, IoError,
                fmt::format("cannot write to standard output ({})", std::strerror(errno)));
}

/// One line that is written over, on a terminal only.
class ProgressLine {
 public:
  ~ProgressLine() {
    if (is_shown_) std::fputs("\r\033[K", stderr);
  }
  void show(std::string_view text) {
    if (!on_terminal_) return;
    is_shown_ = true;
    std::fprintf(stderr, "\r\033[K%.*s", static_cast<int>(text.size()), text.data());
    std::fflush(stderr);
  }

 private:
  bool on_terminal_ = ::isatty(STDERR_FILENO) != 0;
  bool is_shown_ = false;
};

}  // namespace caravan::jobs
