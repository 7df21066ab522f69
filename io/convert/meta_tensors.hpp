#pragma once

#include <cstdint>
#include <vector>

#include "io/convert/hf_tensors.hpp"

namespace caravan::io {

/// What of a model says how Meta's ranks divide it.
struct MetaHeads {
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
};

/// The tensors of rank `rank` of `ranks` of Meta's files, fused as they were released. IoError for a weight
/// that the format has no place for, and for sizes that so many ranks do not divide.
std::vector<MadeTensor> meta_tensors(const WeightSource& source, const Selection& selection,
                                     const MetaHeads& heads, std::int64_t rank, std::int64_t ranks);

}  // namespace caravan::io
