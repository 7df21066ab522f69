#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "io/metrics/append_file.hpp"

namespace caravan::io {

/// The step that a line is of; nothing: it is no such line.
using StepOfLine = std::function<std::optional<std::int64_t>(std::string_view line)>;

/// Lines of steps, in their order, in a file that a run which goes on continues: every step stands in it
/// once. What an earlier start wrote of steps that are done again is moved to `<stem>.former<extension>` when
/// the first line comes, so that a start which comes to no step changes nothing, and nothing is thrown away
/// but a torn last line. A full disk costs lines and one warning.
class ResumedLines {
 public:
  /// `head`: the line that the file begins with, its break included; empty: none. IoError when the file
  /// cannot be opened or holds something else than such lines.
  ResumedLines(std::string path, std::string head, std::int64_t first_step, const StepOfLine& step_of);
  /// Appends a line, its break included.
  void append(std::string_view line);
  /// Moves what the first line would, without one.
  void retire();
  /// Another head, and every line that stays made anew by `change`. False where it could not be written: the
  /// file is as it was.
  bool rewrite(std::string head, const std::function<std::string(std::string_view line)>& change);

 private:
  /// True when no former line is in the way any more.
  bool move_former();
  void warn(const std::string& why);

  std::string path_, head_;
  std::optional<AppendFile> file_;
  bool moved_ = false, warned_ = false;
};

/// metrics.former.jsonl of metrics.jsonl.
std::string former_of(const std::string& path);

}  // namespace caravan::io
