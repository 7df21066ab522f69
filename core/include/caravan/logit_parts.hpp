#pragma once

#include <cstddef>

namespace caravan {

/// Queries and keys among the parts of a parameter, in heads of ParameterPart::unit rows: attention's softmax
/// sees products of what they make.
struct LogitParts {
  std::size_t queries = 0, keys = 1;
  /// Between projection and product they get a norm, so that the size of the weights has no effect on logits.
  bool are_normed = false;
};

}  // namespace caravan
