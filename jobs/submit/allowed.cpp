#include "jobs/submit/allowed.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "caravan/check.hpp"
#include "core/base/config_scalar.hpp"

namespace caravan::jobs {
namespace {

constexpr std::size_t kLongestWord = 4096;

// What bash does not let anybody set, and what run.sh is told in run.env.
constexpr std::array<std::string_view, 6> kOfBash{"BASHOPTS", "BASH_VERSINFO", "EUID",
                                                  "PPID",     "SHELLOPTS",     "UID"};
constexpr std::array<std::string_view, 14> kOfTheScript{
    "CARAVAN_BINARY",  "CARAVAN_CHAIN",       "CARAVAN_CONTAINER",    "CARAVAN_IMAGE",
    "CARAVAN_JOB",     "CARAVAN_LAUNCHER",    "CARAVAN_MAX_RESTARTS", "CARAVAN_MAX_IDLE_RESTARTS",
    "CARAVAN_MODULES", "CARAVAN_MOUNTS",      "CARAVAN_MPI",          "CARAVAN_NODE_FAILURES",
    "CARAVAN_RUN",     "CARAVAN_SRUN_OPTIONS"};

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool consists_of(std::string_view word, std::string_view others) {
  return std::all_of(word.begin(), word.end(), [&](char c) {
    return is_letter_or_digit(c) || others.find(c) != std::string_view::npos;
  });
}

bool is_line(std::string_view word) {
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  return std::none_of(word.begin(), word.end(), is_control) && is_utf8(word);
}

bool is_memory(std::string_view word) {
  if (!word.empty() && std::string_view("KMGT").find(word.back()) != std::string_view::npos)
    word.remove_suffix(1);
  return parse_int(word).value_or(-1) >= 0;
}

/// name, name:count, name:type or name:type:count
bool is_gres(std::string_view word) {
  const auto colons = std::count(word.begin(), word.end(), ':');
  const bool has_empty_part =
      word.front() == ':' || word.back() == ':' || word.find("::") != std::string_view::npos;
  return colons <= 2 && !has_empty_part && word[0] != '-' && consists_of(word, "._+-:");
}

bool is_option(std::string_view word) {
  if (!word.starts_with("--") || !is_line(word)) return false;
  const std::string_view name = word.substr(2, word.find('=') - 2);
  const auto is_plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return !name.empty() && name[0] != '-' && std::all_of(name.begin(), name.end(), is_plain);
}

template <std::size_t n>
bool contains(const std::array<std::string_view, n>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool is_variable(std::string_view word) {
  const bool is_name = consists_of(word, "_") && !(word[0] >= '0' && word[0] <= '9');
  return is_name && !word.starts_with("SLURM_") && !contains(kOfBash, word) && !contains(kOfTheScript, word);
}

struct Rule {
  bool (*holds)(std::string_view word);
  std::string text;
};

std::string text_of_variables() {
  return fmt::format("letters, digits and _, not a digit first, not SLURM_…, {} or {}",
                     fmt::join(kOfBash, ", "), fmt::join(kOfTheScript, ", "));
}

Rule rule_of(WordKind kind) {
  switch (kind) {
    case WordKind::name:
      return {[](std::string_view word) { return word[0] != '-' && consists_of(word, "._@+-"); },
              "letters, digits and . _ @ + -, not - first"};
    case WordKind::module:
      return {[](std::string_view word) { return word[0] != '-' && consists_of(word, "._@+-/"); },
              "letters, digits and . _ @ + - /, not - first"};
    case WordKind::constraint:
      return {[](std::string_view word) { return word[0] != '-' && consists_of(word, "._@+-&|,()[]*"); },
              "names joined by & | , with ( ) [ ] *"};
    case WordKind::memory:
      return {is_memory, "a number with K, M, G or T, such as 64G; 0: all of a node"};
    case WordKind::gres:
      return {is_gres, "name, name:count or name:type:count, such as gpu:h100:4"};
    case WordKind::option:
      return {is_option, "--name or --name=value in one word, one line of UTF-8 without control characters"};
    case WordKind::variable:
      return {is_variable, text_of_variables()};
    case WordKind::operand:
      return {[](std::string_view word) { return word[0] != '-' && is_line(word); },
              "one line of UTF-8 without control characters, not - first"};
    case WordKind::text:
      return {is_line, "one line of UTF-8 without control characters"};
  }
  return {};
}

}  // namespace

void check_word(WordKind kind, std::string_view where, std::string_view word) {
  const Rule rule = rule_of(kind);
  const bool allowed = !word.empty() && word.size() <= kLongestWord && rule.holds(word);
  CARAVAN_CHECK(allowed, ConfigError,
                fmt::format("{}: {} (allowed: {}). Write it so?", where, shown(word), rule.text));
}

}  // namespace caravan::jobs
