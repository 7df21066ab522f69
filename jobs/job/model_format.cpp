#include "jobs/job/model_format.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

template <class Value>
struct Word {
  std::string_view word;
  Value value;
};

constexpr std::array kFormats{Word{"hf", ModelFormat::hf}, Word{"hdf5", ModelFormat::hdf5},
                              Word{"safetensors", ModelFormat::safetensors}, Word{"meta", ModelFormat::meta}};
constexpr std::array kTypes{Word{"fp32", DType::f32}, Word{"bf16", DType::bf16}, Word{"fp16", DType::f16}};

template <class Table>
std::vector<std::string> words_of(const Table& table) {
  std::vector<std::string> words;
  for (const auto& each : table) words.emplace_back(each.word);
  return words;
}

template <class Table>
auto value_of(const Table& table, std::string_view word) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const auto& each) { return each.word == word; });
  CARAVAN_CHECK(found != table.end(), ConfigError,
                fmt::format("{} (must be one of: {})", word, fmt::join(words_of(table), ", ")));
  return found->value;
}

}  // namespace

std::string_view word_of(ModelFormat format) noexcept {
  return std::find_if(kFormats.begin(), kFormats.end(),
                      [&](const auto& each) { return each.value == format; })
      ->word;
}

ModelFormat format_of(std::string_view word) {
  return value_of(kFormats, word);
}

std::vector<std::string> format_words() {
  return words_of(kFormats);
}

DType weight_type_of(std::string_view word) {
  return value_of(kTypes, word);
}

std::vector<std::string> weight_type_words() {
  return words_of(kTypes);
}

}  // namespace caravan::jobs
