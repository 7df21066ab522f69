#pragma once

#include <cstdint>
#include <vector>

#include "caravan/tensor.hpp"
#include "io/files/direct_file.hpp"

namespace caravan::io {

/// Writes the elements of a host view, any strides, from `offset` on. The digests of its blocks, which are
/// taken by another thread while the disk works.
std::vector<std::uint64_t> write_blocks(DirectFile& file, std::uint64_t offset, const TensorView& elements);

}  // namespace caravan::io
