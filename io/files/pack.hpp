#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// Gives the elements of a host view in row-major order as pieces of bytes, never copying what is contiguous
/// already.
void for_each_packed(const TensorView& view, const std::function<void(std::span<const std::byte>)>& take);

}  // namespace caravan::io
