#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace caravan::jobs {

/// A file of assignments that a batch script sources. Every value stands in single quotes, in which a shell
/// sees text alone. ConfigError for a value with a control character: it has no place on a line.
class RunEnv {
 public:
  RunEnv& set(std::string_view name, std::string_view value);
  RunEnv& set(std::string_view name, std::span<const std::string> values);  ///< an array
  RunEnv& export_as(std::string_view name, std::string_view value);
  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_ = "# Written by caravan submit for run.sh, which sources it.\n";
};

/// The word as a shell reads it back: 'it'\''s'.
std::string shell_quoted(std::string_view word);
/// A command line for people, with quotes where a word needs them.
std::string shell_line(const std::vector<std::string>& words);

}  // namespace caravan::jobs
