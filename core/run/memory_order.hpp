#pragma once

#include <tuple>

#include "caravan/parameter.hpp"

namespace caravan {

/// A key that orders parameters in memory: by what a step does with the gradient, then by kind. Gradients
/// that a step clears come first, so that they lie together; what has no gradient comes last.
inline auto memory_order(const Parameter& parameter) {
  return std::tuple(!parameter.is_trained(), parameter.gradient_is_replaced(),
                    parameter.gradient_is_squared(), parameter.spec().kind);
}

}  // namespace caravan
