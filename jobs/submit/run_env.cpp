#include "jobs/submit/run_env.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "jobs/submit/allowed.hpp"

namespace caravan::jobs {
namespace {

std::string quoted_value(std::string_view name, std::string_view value) {
  if (!value.empty()) check_word(WordKind::text, name, value);
  return shell_quoted(value);
}

bool is_plain(std::string_view word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@%+=:,/-";
  return !word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos;
}

}  // namespace

RunEnv& RunEnv::set(std::string_view name, std::string_view value) {
  text_ += fmt::format("{}={}\n", name, quoted_value(name, value));
  return *this;
}

RunEnv& RunEnv::set(std::string_view name, std::span<const std::string> values) {
  text_ += fmt::format("{}=(", name);
  for (const std::string& value : values) text_ += " " + quoted_value(name, value);
  text_ += " )\n";
  return *this;
}

RunEnv& RunEnv::export_as(std::string_view name, std::string_view value) {
  text_ += "export ";
  return set(name, value);
}

std::string shell_quoted(std::string_view word) {
  std::string text = "'";
  for (char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

std::string shell_line(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += " ";
    line += is_plain(word) ? word : shell_quoted(word);
  }
  return line;
}

}  // namespace caravan::jobs
