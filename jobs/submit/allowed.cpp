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

// Libraries that read their settings from the environment. PATH, LD_PRELOAD, BASH_ENV and what else changes
// which code runs are none of them.
constexpr std::array<std::string_view, 17> kVariablePrefixes{
    "NCCL_", "UCX_",   "OMPI_",  "PMIX_",   "HDF5_",    "OMP_", "CUDA_",  "CUBLAS_", "CUDNN_",
    "FI_",   "HWLOC_", "ROMIO_", "KOKKOS_", "CARAVAN_", "IB_",  "MPICH_", "MALLOC_"};

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

bool is_variable(std::string_view word) {
  const auto begins = [&](std::string_view prefix) {
    return word.starts_with(prefix) && word.size() > prefix.size();
  };
  return std::any_of(kVariablePrefixes.begin(), kVariablePrefixes.end(), begins) && consists_of(word, "_");
}

struct Rule {
  bool (*holds)(std::string_view word);
  std::string text;
};

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
    case WordKind::variable:
      return {is_variable,
              fmt::format("letters, digits and _ after one of {}", fmt::join(kVariablePrefixes, " "))};
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
