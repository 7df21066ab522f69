#pragma once

#include <vector>

#include "io/checkpoint/piece.hpp"

namespace caravan::io {

/// IoError, naming elements, unless the boxes, which lie inside, are every element of the tensor once. Also
/// for boxes that would take too long to compare, which no layout of ranks makes.
void check_tiling(const TensorRecord& tensor, const std::vector<Box>& boxes);

}  // namespace caravan::io
