#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "jobs/inspect/tensor_source.hpp"

namespace caravan::jobs {

/// One element, whole numbers to the last digit.
using Number = std::variant<std::int64_t, std::uint64_t, double>;

/// NumberType `index` of a block in row-major order.
Number number_at(const Block& block, std::uint64_t index);

/// "18446744073709551615", "0.333333333"
std::string exact_text(const Number& number);

}  // namespace caravan::jobs
