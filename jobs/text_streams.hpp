#pragma once

#include <unistd.h>

#include <string>
#include <string_view>

#include "caravan/printable.hpp"

namespace caravan::jobs {

/// [first in main] A standard stream that was closed before the start becomes one that refuses: else the
/// first file that is opened would take its number, and get what is printed.
void occupy_closed_streams();

std::string read_standard_input();

/// The only way to standard output. On a terminal `bytes` come out printable, lines kept (`on_terminal`);
/// anywhere else as they are, all of them however long a reader lags. IoError when the disk is full or the
/// stream is closed, so that cut output never looks complete; AskedToLeave when the reader has gone.
void write_standard_output(std::string_view bytes, TextKind on_terminal = TextKind::lines);

/// [last in main] IoError when anything that was printed did not arrive.
void check_standard_output();

/// One line that is written over, on a terminal only. What is shown comes out printable.
class ProgressLine {
 public:
  ~ProgressLine();
  void show(std::string_view text);

 private:
  bool on_terminal_ = ::isatty(STDERR_FILENO) != 0;
  bool is_shown_ = false;
};

/// A text of some lines on standard output that is written over by the next; where that is no terminal they
/// follow each other, with an empty line between.
class OverwrittenOutput {
 public:
  /// As `write_standard_output`.
  void show(std::string_view text, TextKind on_terminal = TextKind::lines);

 private:
  bool is_first_ = true;
};

}  // namespace caravan::jobs
