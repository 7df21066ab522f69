#pragma once

#include "io/checkpoint/stored_tensor.hpp"

namespace caravan::io {

/// Reads the block of `to`'s shape that starts at `origin`. to: host memory of the stored type, or of f32,
/// bf16 or f16 for any float; any strides. Where it is large, `threads` read it together. IoError for other
/// types, a block that does not lie inside, and damage.
void read_tensor(const StoredTensor& stored, BlockReader& blocks, const Origin& origin, const TensorView& to,
                 int threads);

}  // namespace caravan::io
