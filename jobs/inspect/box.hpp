#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "jobs/inspect/tensor_source.hpp"

namespace caravan::jobs {

/// All of it. IoError when its elements cannot be read, with the reason.
Box whole_of(const TensorEntry& tensor);

/// Splits a box into blocks of at most `most` elements (at least one), each a run of the box in row-major
/// order; `first` counts the elements of the box before it.
using BlockVisitor = std::function<void(const Origin& origin, const Shape& shape, std::uint64_t first)>;
void for_each_block(const Box& box, std::int64_t most, const BlockVisitor& visit);

/// "[3, 0, 17]": the place of element `index` in row-major order.
std::string index_text(const std::vector<std::uint64_t>& extents, std::uint64_t index);

/// "[4, 8]"
std::string shape_text(const std::vector<std::uint64_t>& extents);

}  // namespace caravan::jobs
