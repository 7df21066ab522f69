#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "caravan/tensor.hpp"

// What every device asks of the views of an operator, in one wording.
namespace caravan {

/// In an expected shape: any extent.
inline constexpr std::int64_t kAnyExtent = -1;

/// The view that an operator's argument must be.
struct ExpectedView {
  DType dtype;
  int rank;
  std::int64_t shape[Shape::kMaxRank];
};

/// Empty when the view has this type and shape, and memory for its elements; else a sentence without its end:
/// "'w' has shape [1, 3] (needs [any, 2])".
std::string problem_with(std::string_view name, const TensorView& view, const ExpectedView& expected);
/// The same of a view whose neighbours on the last axis are neighbours in memory.
std::string problem_with_columns(std::string_view name, const TensorView& view, const ExpectedView& expected);
/// The same of a view without gaps, whatever its shape; with `count` other than kAnyExtent it must have so
/// many elements.
std::string problem_with_flat(std::string_view name, const TensorView& view, std::int64_t count);

}  // namespace caravan
