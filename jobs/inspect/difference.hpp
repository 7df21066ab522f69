#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "jobs/inspect/tensor_source.hpp"

namespace caravan::jobs {

/// What counts as equal: |a - b| <= atol + rtol |b|, as numpy's allclose; NaN equals NaN.
struct Tolerance {
  double rtol = 0, atol = 0;
};

/// Two tensors of one shape, element by element.
struct ValueDifference {
  std::uint64_t count = 0, changed = 0;      ///< elements; those beyond the tolerance
  double largest = 0, largest_relative = 0;  ///< |a - b|, and that / max(|a|, |b|), over all elements
  std::optional<std::uint64_t> largest_at;   ///< index of the first with the largest |a - b|
  double cosine = 1;                         ///< of the angle between them, over elements finite in both
};

/// One side of a comparison.
struct TensorOf {
  const TensorSource& source;
  const TensorEntry& tensor;
};

/// Reads both once, in step. Their shapes must be equal; their types may differ.
ValueDifference compare_values(const TensorOf& a, const TensorOf& b, const Tolerance& tolerance);

}  // namespace caravan::jobs
