#include "jobs/inspect/number.hpp"

#include <fmt/format.h>

#include <cstring>
#include <span>

#include "jobs/inspect/value_stream.hpp"

namespace caravan::jobs {
namespace {

template <class T>
T whole_number_at(const Block& block, std::uint64_t index) {
  T value;
  std::memcpy(&value, block.data + index * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

Number number_at(const Block& block, std::uint64_t index) {
  // Doubles hold every other number of a file as it is.
  if (block.element == io::NumberType::i64) return whole_number_at<std::int64_t>(block, index);
  if (block.element == io::NumberType::u64) return whole_number_at<std::uint64_t>(block, index);
  double value = 0;
  to_double(block, index, std::span(&value, 1));
  if (is_float(block.element)) return value;
  return static_cast<std::int64_t>(value);
}

std::string exact_text(const Number& number) {
  if (const auto* real = std::get_if<double>(&number)) return fmt::format("{:.9g}", *real);
  return std::visit([](const auto& value) { return fmt::format("{}", value); }, number);
}

}  // namespace caravan::jobs
